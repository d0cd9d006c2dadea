"""kill -9 at each stage of each playbook: the next run finds it, records it and cleans up.

By default the stages are played one after the other without Ansible, whose start would be most of
the time; with CRMOPS_ALL_FAULTS=1 by their commands as well.  test_killed.py kills one of those.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from crmops.record import Kind, Verdict
from playbooks.judge import stages_of
from playbooks.run import Room, back_up, drill
from tests.playbooks.conftest import Taken, nothing_left

_PATIENCE = 120.0
_STARTER = """
import os, sys, time
from pathlib import Path
from crmops.config import load_config
from crmops.history import open_history
from crmops.record import Kind
from playbooks.judge import stages_of
from playbooks.run import Room, alone, executing_in, make_job, prepared
from playbooks.settings import Settings
from playbooks.source import parse_address, source_address, write_service
from playbooks.step import run_stage


def play(kind):
    config = load_config(Path("crmops.yaml"))
    history = open_history(config.history_url, config.artifacts_dir)
    room = Room(config.target("crm"), config.parse("drills", Settings), history, config.state_dir)
    with alone(room), executing_in(room, kind, "stages") as execution:
        backup = execution.id if kind is Kind.BACKUP else room.catalogue.choose("latest")
        with prepared(make_job(room, execution, room.catalogue.place(backup))) as job:
            write_service(job, parse_address(source_address(room.target)))
            for stage in stages_of(kind, room.settings):
                job.begin(stage)
                job.add(run_stage(job, stage))
            time.sleep(60)  # it is killed before it can end by itself


way, kind = sys.argv[1:]
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0 and way == "playbook":
        os.execv(sys.executable, [sys.executable, "-m", "crmops", kind, "run"])
    if pid == 0:
        play(Kind(kind))
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""
"""Starts a run for each line that it reads, says its pid, and when it has ended."""

_WAYS = ["stages", *(["playbook"] if os.environ.get("CRMOPS_ALL_FAULTS") else [])]


class Starter:
    """Starts runs that share what one process has imported: most of a start is that."""

    def __init__(self, way: str, kind: Kind, place: Path) -> None:
        self._log = (place / "starter.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _STARTER, way, kind], cwd=place, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip

    def start(self) -> int:
        """Start a run; its pid."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("go\n")
        return int(self._process.stdout.readline() or self._said())

    def ended(self) -> None:
        """Wait until that run is gone."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ended\n", self._said()

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def close(self) -> None:
        """End the process that starts them."""
        for each in (self._process.stdin, self._process.stdout):
            assert each is not None
            each.close()
        self._process.wait(_PATIENCE)
        self._log.close()


def configure(room: Room, place: Path) -> None:
    """crmops.yaml for a room."""
    access = room.target.database
    assert access is not None and access.backup_url is not None
    (place / "address").write_text(access.backup_url.reveal())
    (place / "address").chmod(0o600)
    (place / "crmops.yaml").write_text(
        f"state: {room.state}\n"
        f"history: {{url: 'sqlite:///{room.state}/history.sqlite'}}\n"
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:9\n"
        f"    database: {{url: 'file:{place}/address', archive_directory:"
        f" '{access.archive_directory}', data_directory: '{access.data_directory}'}}\n"
        f"drills: {{directory: '{room.catalogue.folder.parent}', amcheck: false,"
        f" signing_key: '{room.signing_key}'}}\n"
    )


def killed_in(stage: str, starter: Starter, room: Room, known: set[str]) -> str:
    """Start a run, kill it when a stage is under way; the id of its Run."""
    pid, deadline = starter.start(), time.monotonic() + _PATIENCE
    try:
        while True:
            for journal in room.jobs.glob("*/journal"):
                if journal.parent.name not in known and f"begin {stage}\n" in journal.read_text():
                    time.sleep(0.03)  # by now it does something, perhaps with children
                    return journal.parent.name
            assert psutil.pid_exists(pid), f"it ended before {stage}"
            assert time.monotonic() < deadline, f"{stage} did not begin"
            time.sleep(0.005)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        starter.ended()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("kind", [Kind.DRILL, Kind.BACKUP])
def test_killed_at_each_stage(
    kind: Kind, way: str, taken: Taken, room: Room, tmp_path: Path
) -> None:
    """Each run cleans up after the one before, and is killed one stage further on."""
    folder = taken.room.state / "backups" if kind is Kind.DRILL else tmp_path / "backups"
    changes = {
        "directory": str(folder),
        "amcheck": False,
        "signing_key": str(taken.room.signing_key),
    }
    room = replace(room, settings=room.settings.model_copy(update=changes))
    configure(room, tmp_path)
    stages = stages_of(kind, room.settings)
    killed: dict[str, str] = {}
    starter = Starter(way, kind, tmp_path)
    try:
        for stage in stages:
            killed[killed_in(stage, starter, room, {*killed})] = stage
    finally:
        starter.close()
    last = drill(room) if kind is Kind.DRILL else back_up(room)
    assert last.verdict is Verdict.PASS, last.reason
    nothing_left(room, last.id, *killed)
    for run_id, stage in killed.items():
        found = room.history.get(run_id)
        assert found is not None, stage
        assert (found.verdict, found.reason) == (Verdict.ERROR, "killed before it could end"), stage
    if kind is Kind.BACKUP:
        # One killed while or after it sealed may have left a whole backup; half a one is nowhere.
        found_there = {each.name for each in room.catalogue.folder.iterdir()}
        late = {run_id for run_id, stage in killed.items() if stage in ("seal", "tear_down")}
        assert last.id in found_there and found_there <= {*late, last.id}
        assert found_there == {each.id for each in room.catalogue.manifests()}
