"""A disk that is full, or becomes full half way: an error that says so, and nothing is left.

Root gives the command a small file system of its own, in a private mount namespace; elsewhere no
file may grow beyond a MiB, which is what a quota does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crmops.record import Kind, Verdict
from playbooks.catalogue import read_manifest, write_manifest
from playbooks.run import Room
from tests.playbooks.conftest import nothing_left
from tests.playbooks.test_killed_everywhere import configure

_MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def on_a_small_disk(place: Path) -> tuple[list[str], str]:
    """How to begin a command whose ``place`` has 24 MiB, and what is said when it is full."""
    mounted = ["unshare", "-m", "--", "sh", "-c", _MOUNT, "sh", "24m", str(place)]
    if os.geteuid() == 0:
        done = subprocess.run([*mounted, "true"], capture_output=True, timeout=30, check=False)
        if done.returncode == 0:
            return mounted, "No space left on device"
    return ["prlimit", f"--fsize={1 << 20}"], "File too large"


@pytest.mark.parametrize("moment", ["before", "half way"])
def test_a_disk_that_is_full(moment: str, copied: Room, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    begin, words = on_a_small_disk(tmp_path / "disk")
    configure(copied, tmp_path)
    config = tmp_path / "crmops.yaml"
    settings = config.read_text().replace("amcheck: false", f"scratch: '{tmp_path / 'disk'}'")
    config.write_text(settings)
    folder = next(copied.catalogue.folder.iterdir())
    # The preflight believes the manifest: with a wrong number it lets the drill begin.
    wrong = -(1 << 50) if moment == "half way" else 1 << 50
    forged = read_manifest(folder).model_copy(update={"bytes": wrong})
    write_manifest(folder, forged, copied.signing_key)
    before = sorted(str(each) for each in folder.rglob("*"))
    done = subprocess.run(
        [*begin, sys.executable, "-m", "crmops", "drill", "run"], cwd=tmp_path, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    run = copied.history.find(Kind.DRILL)[0]
    assert (done.returncode, run.verdict) == (4, Verdict.ERROR), done.stderr
    said = words if moment == "half way" else "the drill needs "
    assert said in run.reason and "Traceback" not in done.stderr
    assert sorted(str(each) for each in folder.rglob("*")) == before
    nothing_left(copied, run.id)
    assert list((tmp_path / "disk").iterdir()) == []
