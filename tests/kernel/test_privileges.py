"""Leaving root, seen from a real process that leaves it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmops.errors import CannotRun
from crmops.privileges import current_user, drop_privileges

ROOT = os.geteuid() == 0
PROJECT = Path(__file__).resolve().parents[2]
READ_SEARCH = 1 << 2

REPORT = """
import json, os, subprocess, sys
from pathlib import Path
from crmops.errors import CrmopsError
from crmops.privileges import drop_privileges

def lines():
    return dict(l.split(":", 1) for l in Path("/proc/self/status").read_text().splitlines())

state, options = Path(sys.argv[1]), json.loads(sys.argv[2])
try:
    user = drop_privileges([state], **options)
except CrmopsError as error:
    print(json.dumps({"error": str(error)}))
    sys.exit(error.exit_code)
status = lines()
(state / "written").write_text("by us")
again = "allowed"
try:
    os.setuid(0)
except PermissionError:
    again = "refused"
try:
    (state.parent / "of root").write_text("")
    root_place = "written"
except OSError:
    root_place = "refused"
child = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, cwd="/")
theirs = dict(l.split(":", 1) for l in child.stdout.splitlines())
numbers = ("CapPrm", "CapEff", "CapBnd", "CapAmb")
print(json.dumps({
    "user": user, "uid": os.getuid(), "groups": os.getgroups(),
    "root again": again, "of root": root_place,
    "mine": {n: int(status[n], 16) for n in numbers},
    "child": {n: int(theirs[n], 16) for n in numbers},
    "no new privileges": int(status["NoNewPrivs"]), "home": os.environ["HOME"],
    "still reads": len(os.listdir(os.path.dirname(os.__file__))) > 10,
}))
"""


def leave(state: Path, *wrapper: str, **options: object) -> dict[str, object]:
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", REPORT, str(state), json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.stdout, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return {**found, "stderr": done.stderr, "code": done.returncode}


@pytest.fixture
def closed() -> Iterator[Path]:
    """A state directory below a directory that only root may enter, like a clone in /root."""
    top = Path(tempfile.mkdtemp(prefix="crmops-closed-"))
    state = top / ".crmops"
    (state / "deep" / "er").mkdir(parents=True, mode=0o700)
    (state / "deep" / "file").write_text("ours")
    yield state
    shutil.rmtree(top)


def test_a_plain_user_stays_who_they_are(tmp_path: Path) -> None:
    if not ROOT:
        assert drop_privileges([tmp_path]) == current_user()
        assert (tmp_path.stat().st_uid, os.geteuid()) == (os.geteuid(), os.geteuid())
        return
    done = subprocess.run(
        [sys.executable, "-c", "import pwd; print(pwd.getpwuid(0).pw_name)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert current_user() == done.stdout.strip()


def test_a_closed_place_costs_exactly_one_capability(closed: Path) -> None:
    found = leave(closed)
    if not ROOT:
        assert found["user"] == current_user()
        return
    assert (found["user"], found["uid"], found["groups"]) == ("nobody", 65534, [65534])
    assert found["mine"] == {
        "CapPrm": READ_SEARCH, "CapEff": READ_SEARCH, "CapBnd": READ_SEARCH, "CapAmb": 0,
    }  # fmt: skip
    assert found["child"] == {"CapPrm": 0, "CapEff": 0, "CapBnd": READ_SEARCH, "CapAmb": 0}
    assert (found["root again"], found["of root"]) == ("refused", "refused")
    assert (found["no new privileges"], found["still reads"]) == (1, True)
    assert found["home"] == str(closed)
    assert found["stderr"] == ""
    assert (closed / "written").stat().st_uid == (closed / "deep" / "file").stat().st_uid == 65534
    assert stat.S_IMODE(closed.parent.stat().st_mode) == 0o700
    assert closed.parent.stat().st_uid == 0


def test_children_get_the_capability_only_when_asked(closed: Path) -> None:
    found = leave(closed, inherit=True)
    if not ROOT:
        assert found["user"] == current_user()
        return
    assert found["child"] == {
        "CapPrm": READ_SEARCH, "CapEff": READ_SEARCH, "CapBnd": READ_SEARCH,
        "CapAmb": READ_SEARCH,
    }  # fmt: skip


def test_where_the_container_took_the_capability_the_next_one_is_kept(closed: Path) -> None:
    """Docker's default set has no CAP_DAC_READ_SEARCH."""
    if not ROOT:
        assert leave(closed)["user"] == current_user()
        return
    found = leave(closed, "setpriv", "--bounding-set=-dac_read_search", "--inh-caps=-all")
    mine = found["mine"]
    assert isinstance(mine, dict)
    assert mine["CapPrm"] == 1 << 1
    assert "install crmops where others can read it" in str(found["stderr"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"user": "no-such-user"}, "there is no user 'no-such-user' to run as"),
        ({"user": "root"}, "'root' is root; our servers do not run as root"),
    ],
)
def test_a_user_must_be_an_ordinary_one(
    closed: Path, options: dict[str, object], message: str
) -> None:
    found = leave(closed, **options)
    if ROOT:
        assert (found["error"], found["code"]) == (message, 4)
        assert closed.stat().st_uid == 0
    else:
        assert found["user"] == current_user()


def test_nothing_but_our_own_directory_is_given_away(tmp_path: Path) -> None:
    if not ROOT:
        assert drop_privileges([Path("/etc")]) == current_user()
        return
    sly = tmp_path / ".crmops"
    sly.symlink_to("/etc")
    ours = Path(sys.prefix)
    for path in (Path("/etc/x"), Path("/tmp"), Path("/var/lib"), Path("/.crmops"), sly, ours):
        with pytest.raises(CannotRun, match="will not be given away"):
            drop_privileges([path])
    with pytest.raises(CannotRun, match="will not be given away"):
        drop_privileges([tmp_path / ".crmops"], state_dir=tmp_path / "other")


def test_links_out_of_the_directory_are_not_followed(closed: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    (closed / "symbolic").symlink_to(outside)
    (closed / "folder").symlink_to(tmp_path)
    try:
        (closed / "hard").hardlink_to(outside)
    except OSError:  # the two directories are on different file systems: no hard link can be
        assert closed.stat().st_dev != tmp_path.stat().st_dev
    leave(closed)
    assert outside.stat().st_uid == os.geteuid()
    assert tmp_path.stat().st_uid == os.geteuid()
