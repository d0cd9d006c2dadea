"""Whatever is killed half way: an ``error`` Run says so, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from crmops.errors import AlreadyRunning, UsageError
from crmops.record import Kind, Verdict
from playbooks.leftovers import scratch_name
from playbooks.run import Room, drill
from tests.playbooks.conftest import Taken, nothing_left

_PATIENCE = 90.0


@pytest.fixture
def beside(taken: Taken, room: Room) -> Room:
    """A room of its own on the session's backup."""
    places = {
        "directory": str(taken.room.state / "backups"),
        "signing_key": str(taken.room.signing_key),
    }
    return replace(room, settings=room.settings.model_copy(update=places))


def _kill_one(word: str, run_id: str) -> None:
    """SIGKILL the first process of a run whose command holds a word."""
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("CRMOPS_JOB") == run_id or scratch_name(
                run_id
            ) in " ".join(process.cmdline())
            if ours and any(word in each for each in process.cmdline()):
                process.kill()
                return
        except psutil.Error:
            continue
    raise AssertionError(f"no process {word!r} of {run_id}")


@pytest.mark.parametrize(
    ("victim", "after", "reason"),
    [
        ("ansible-playbook", "Look at its mark", "the playbook was killed before stage "),
        ("playbooks.child", "Look at its mark", "the playbook was killed before stage "),
        ("postgres", "Recover to", "the restored instance was killed: it ended without a word"),
    ],
)
def test_killed_part_makes_an_error(victim: str, after: str, reason: str, beside: Room) -> None:
    def kill(line: str) -> None:
        if after in line:
            _kill_one(victim, beside.history.live()[0].run.id)

    unpacked = set(Path(tempfile.gettempdir()).glob("ansible_*"))
    run = drill(replace(beside, say=kill))
    assert run.verdict is Verdict.ERROR
    assert run.reason.startswith(reason), run.reason
    assert beside.history.get(run.id) == run
    assert set(Path(tempfile.gettempdir()).glob("ansible_*")) == unpacked
    nothing_left(beside, run.id)


def test_playbook_that_takes_too_long_is_ended(beside: Room) -> None:
    hasty = replace(beside, settings=beside.settings.model_copy(update={"timeout": 3.0}))
    run = drill(hasty)
    assert (run.verdict, run.reason) == (
        Verdict.ERROR,
        "the playbook did not end within 3 s",
    )
    nothing_left(beside, run.id)


def _cli(room: Room, taken: Taken, tmp_path: Path) -> subprocess.Popen[bytes]:
    access = taken.room.target.database
    assert access is not None
    (tmp_path / "address").write_text(access.url.reveal())
    (tmp_path / "address").chmod(0o600)
    (tmp_path / "crmops.yaml").write_text(
        f"state: {tmp_path}\n"
        f"history: {{url: 'sqlite:///{tmp_path}/history.sqlite'}}\n"
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:9\n"
        f"    database: {{url: 'file:{tmp_path}/address', archive_directory:"
        f" '{access.archive_directory}', data_directory: '{access.data_directory}'}}\n"
        f"drills: {{directory: '{taken.room.state / 'backups'}',"
        f" signing_key: '{taken.room.signing_key}'}}\n"
    )
    return subprocess.Popen(
        [sys.executable, "-m", "crmops", "drill", "run"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def _has_done(room: Room, stage: str) -> bool:
    return any(room.jobs.glob(f"*/stages/*-{stage}.json"))


def test_killed_drill_is_found_by_the_next(beside: Room, taken: Taken, tmp_path: Path) -> None:
    process = _cli(beside, taken, tmp_path)
    assert process.stderr is not None
    try:
        _wait(lambda: process.poll() is not None or _has_done(beside, "recover"))
        killed = beside.history.live()[0].run.id
        with pytest.raises(AlreadyRunning, match="a backup or drill of crm is running"):
            drill(beside)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert Path(tempfile.gettempdir(), scratch_name(killed)).exists()
    with pytest.raises(UsageError, match="there is no backup 'another'"):
        drill(beside, "another")
    nothing_left(beside, killed)
    found = beside.history.get(killed)
    assert found is not None
    assert (found.verdict, found.reason) == (Verdict.ERROR, "killed before it could end")
    newest = beside.history.find(Kind.DRILL)[0]
    assert newest.findings[0].title == "a killed run was cleaned up"


def test_interrupted_drill_stops_everything(beside: Room, taken: Taken, tmp_path: Path) -> None:
    process = _cli(beside, taken, tmp_path)
    try:
        _wait(lambda: process.poll() is not None or _has_done(beside, "fetch"))
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=_PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert b"error: interrupted" in said and b"Traceback" not in said
    run = beside.history.find(Kind.DRILL)[0]
    assert (run.verdict, run.reason) == (Verdict.ERROR, "interrupted")
    nothing_left(beside, run.id)
