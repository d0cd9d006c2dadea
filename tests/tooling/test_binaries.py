"""Programs that we start but do not ship: found, named when missing, really started."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmops import binaries
from crmops.errors import CannotRun

CONFIG = "route: {receiver: none}\nreceivers: [{name: none}]\n"
NOBODY = (65534, 65534)


def namespaces_allowed() -> bool:
    flags = "-m" if os.geteuid() == 0 else "-rm"
    mount = ["unshare", flags, "mount", "-t", "tmpfs", "tmpfs", "/usr/share"]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


@pytest.fixture
def storage() -> Iterator[Path]:
    """A directory that a server which left root can write to."""
    made = Path(tempfile.mkdtemp(prefix="crmops-am-"))  # the parents of tmp_path are closed
    (made / "am.yml").write_text(CONFIG)
    for path in (made, made / "am.yml"):
        if os.geteuid() == 0:
            os.chown(path, *NOBODY)
    yield made
    shutil.rmtree(made)


def test_a_variable_names_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "my-prometheus"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("CRMOPS_PROMETHEUS", str(mine))
    assert binaries.find_binary("prometheus") == mine


def test_a_variable_that_names_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMOPS_PROMETHEUS", "/nowhere/prometheus")
    with pytest.raises(CannotRun) as failed:
        binaries.find_binary("prometheus")
    assert failed.value.message == (
        "CRMOPS_PROMETHEUS is /nowhere/prometheus, which is no program that can be started"
    )
    assert failed.value.hint == (
        "Correct CRMOPS_PROMETHEUS, or unset it to have prometheus looked for."
    )


def test_unpacked_programs_go_before_those_in_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("tools/usr/bin", "path"):
        program = tmp_path / folder / "promtool"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setattr(binaries, "TOOLS", tmp_path / "tools")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert binaries.find_binary("promtool") == tmp_path / "tools/usr/bin/promtool"
    (tmp_path / "tools/usr/bin/promtool").unlink()
    assert binaries.find_binary("promtool") == tmp_path / "path/promtool"


def test_a_missing_program_comes_with_the_way_to_get_it() -> None:
    assert binaries.find_binary("no-such-program") is None
    with pytest.raises(CannotRun) as failed:
        binaries.need_binary("no-such-program")
    assert failed.value.message == "no-such-program was not found"
    assert "Run make setup" in failed.value.hint
    assert "CRMOPS_NO_SUCH_PROGRAM" in failed.value.hint


def test_everything_that_the_setup_provides_is_there() -> None:
    for name in ("prometheus", "promtool", "alertmanager", "amtool", "chromium"):
        assert binaries.find_binary(name), f"{name} is missing: read the warnings of make setup"


def test_prometheus_starts_as_another_user() -> None:
    run_as = NOBODY if os.geteuid() == 0 else None
    command = binaries.prometheus_command(["--version"], run_as=run_as)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("prometheus, version")


@pytest.mark.parametrize("template", ["as it is", "missing"])
def test_alertmanager_starts_and_is_the_process_we_know(
    storage: Path, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    if template == "missing":
        monkeypatch.setattr(binaries, "TEMPLATE", Path("/nowhere/default.tmpl"))
    arguments = [
        f"--config.file={storage}/am.yml",
        f"--storage.path={storage}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    run_as = NOBODY if os.geteuid() == 0 else None
    if not (namespaces_allowed() or binaries.TEMPLATE.exists()):
        with pytest.raises(CannotRun, match="private mount namespace"):
            binaries.alertmanager_command(arguments, run_as=run_as)
        return
    command = binaries.alertmanager_command(arguments, run_as=run_as)
    with (storage / "log").open("w") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            address = listening(storage / "log", server)
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=10) as answer:
                assert answer.status == 200
            assert Path(f"/proc/{server.pid}/comm").read_text().startswith("prometheus-aler")
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=30) == 0
        finally:
            server.kill()
    assert not Path("/usr/share/crmops").exists(), "the private mount is seen outside"


def listening(log: Path, server: subprocess.Popen[bytes]) -> str:
    """The address that a server says it listens on, within 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        if found := re.search(r'"Listening on" address=(\S+)', log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_no_namespace_is_said_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "TEMPLATE", Path("/nowhere/default.tmpl"))
    monkeypatch.setattr(binaries, "_succeeds", lambda command: False)
    with pytest.raises(CannotRun) as failed:
        binaries.alertmanager_command([])
    assert failed.value.message.endswith(
        "can only be started in a private mount namespace, and this machine allows none"
    )
    assert "apt-get install -y --no-install-recommends" in failed.value.hint


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("mariadbd", "--version"),
        ("mariadb_backup", "--version"),
        ("mariadb_binlog", "--version"),
        ("pgbackrest", "version"),
        ("restic", "version"),
        ("java", "-version"),
    ],
)
def test_what_the_tests_run_against_starts(name: str, question: str) -> None:
    done = subprocess.run(
        [binaries.need_binary(name), question],
        env={**os.environ, **binaries.tool_environment()},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr != b"") == (0, True)


def test_debians_postgres_is_found_with_its_initdb() -> None:
    found = binaries.system_postgres()
    assert found is not None
    assert {"initdb", "postgres", "pg_basebackup"} <= {path.name for path in found.iterdir()}
