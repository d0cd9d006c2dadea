"""One rehearsal at a time, in a clean place, and nothing of it left."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from crmops.demo import place as place_module
from crmops.demo.place import rehearsal_place
from crmops.demo.processes import Processes, last_words, stop_left_behind, wait_for_file
from crmops.errors import AlreadyRunning, CannotRun

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


def test_two_rehearsals_at_once_are_one_too_many(tmp_path: Path) -> None:
    taken = pytest.raises(AlreadyRunning, match="is going on here already")
    with rehearsal_place(tmp_path), taken, rehearsal_place(tmp_path):
        pass
    with rehearsal_place(tmp_path):  # free again
        pass


def test_the_temporary_place_goes_and_the_state_stays(tmp_path: Path) -> None:
    with rehearsal_place(tmp_path) as place:
        (place.scratch / "big").write_text("x")
        (place.state / "history.db").write_text("x")
    assert not place.scratch.exists()
    assert (place.state / "history.db").exists()


def test_a_second_run_starts_clean_after_a_killed_one(tmp_path: Path) -> None:
    with rehearsal_place(tmp_path) as place:
        old = place.scratch
    old.mkdir()
    (place.state / "scratch").write_text(str(old))
    (place.state / "history.db").write_text("x")
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    begun = psutil.Process(left.pid).create_time()
    rows = [{"name": "refcrm", "pid": left.pid, "begun": begun}]
    place.journal.write_text(json.dumps(rows))
    with rehearsal_place(tmp_path) as fresh:
        assert not psutil.pid_exists(left.pid)
        assert not old.exists()
        assert {each.name for each in fresh.state.iterdir()} == {"logs", "scratch"}
    left.wait()


def test_only_our_own_temporary_place_is_removed(tmp_path: Path) -> None:
    with rehearsal_place(tmp_path) as place:
        pass
    precious = tmp_path / "precious"
    precious.mkdir()
    (place.state / "scratch").write_text(str(precious))
    with rehearsal_place(tmp_path):
        assert precious.exists()


def test_a_process_that_only_has_the_old_number_is_spared(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        journal = tmp_path / "processes.json"
        journal.write_text(json.dumps([{"name": "x", "pid": other.pid, "begun": 1.0}]))
        assert stop_left_behind(journal) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_no_space_is_said_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place_module, "LEAST_FREE", 1 << 60)
    refused = pytest.raises(CannotRun, match="MiB free, a rehearsal wants")
    with refused, rehearsal_place(tmp_path):
        pass


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / ".crmops").write_text("a file, not a directory")
    with pytest.raises(CannotRun, match="cannot write"), rehearsal_place(tmp_path):
        pass


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path, tmp_path / "processes.json")


def test_stopping_takes_the_children_too(processes: Processes, tmp_path: Path) -> None:
    child = processes.start("family", [sys.executable, "-c", FAMILY])
    deadline = time.monotonic() + 20
    while not child.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    grandchild = psutil.Process(int(child.log.read_text()))
    processes.stop_all()
    assert child.process.poll() is not None
    grandchild.wait(10)
    assert not (tmp_path / "processes.json").exists()


def test_a_process_that_does_not_listen_is_killed(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crmops.demo.processes.STOP_PATIENCE", 0.5)
    child = processes.start("stubborn", [sys.executable, "-u", "-c", STUBBORN])
    deadline = time.monotonic() + 20
    while not child.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    processes.stop(child)
    assert child.process.poll() == -9


def test_a_server_that_ends_before_it_is_ready_says_why(
    processes: Processes, tmp_path: Path
) -> None:
    code = "import sys; sys.exit('error: port 80 is taken')"
    child = processes.start("refcrm", [sys.executable, "-c", code])
    with pytest.raises(CannotRun) as caught:
        wait_for_file(tmp_path / "ready.json", child, 20)
    assert str(caught.value) == (
        "refcrm ended with exit code 1 before it was ready: port 80 is taken"
    )
    processes.stop_all()


def test_a_command_that_is_not_there_is_a_clear_error(processes: Processes) -> None:
    with pytest.raises(CannotRun, match="nothing cannot be started: No such file"):
        processes.start("nothing", ["/nonexistent/program"])


def test_the_last_error_of_a_log_says_most(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert last_words(log) == "it wrote nothing"
    log.write_text("hello\nerror: disk full\nhint: make space\n")
    assert last_words(log) == "disk full"
