"""kill -9 at each stage of each playbook: the next run finds it, records it and cleans up.

By default the stages are played one after the other without Ansible, whose start would be most of
the time; with CRMOPS_ALL_FAULTS=1 by their commands as well.  test_killed.py kills one of those.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from crmops.record import Kind, Verdict
from playbooks.judge import stages_of
from playbooks.run import Room, back_up, drill
from tests.playbooks.conftest import Taken, nothing_left

_PATIENCE = 120.0
_STAGES = """
import sys
from pathlib import Path
from crmops.config import load_config
from crmops.history import open_history
from crmops.record import Kind
from playbooks.judge import stages_of
from playbooks.run import Room, alone, executing_in, make_job, prepared
from playbooks.settings import Settings
from playbooks.source import parse_address, source_address, write_service
from playbooks.step import run_stage

kind, config = Kind(sys.argv[1]), load_config(Path("crmops.yaml"))
history = open_history(config.history_url, config.artifacts_dir)
room = Room(config.target("crm"), config.parse("drills", Settings), history, config.state_dir)
with alone(room), executing_in(room, kind, "stages") as execution:
    backup = execution.id if kind is Kind.BACKUP else room.catalogue.choose("latest")
    with prepared(make_job(room, execution, room.catalogue.place(backup))) as job:
        write_service(job, parse_address(source_address(room.target)))
        for stage in stages_of(kind, room.settings):
            job.begin(stage)
            job.add(run_stage(job, stage))
"""
_COMMANDS = {"stages": ["-c", _STAGES], "playbook": ["-m", "crmops"]}
_WAYS = ["stages", *(["playbook"] if os.environ.get("CRMOPS_ALL_FAULTS") else [])]


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
        f"drills: {{directory: '{room.catalogue.folder.parent}', amcheck: false}}\n"
    )


def killed_in(stage: str, words: list[str], room: Room, place: Path, known: set[str]) -> str:
    """Start a command, kill it when a stage is under way; the id of its Run."""
    process = subprocess.Popen(
        [sys.executable, *words], cwd=place, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    deadline = time.monotonic() + _PATIENCE
    try:
        while True:
            for journal in room.jobs.glob("*/journal"):
                if journal.parent.name not in known and f"begin {stage}\n" in journal.read_text():
                    time.sleep(0.03)  # by now it does something, perhaps with children
                    return journal.parent.name
            assert process.poll() is None, (stage, process.stderr.read())
            assert time.monotonic() < deadline, f"{stage} did not begin"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("kind", [Kind.DRILL, Kind.BACKUP])
def test_killed_at_each_stage(
    kind: Kind, way: str, taken: Taken, room: Room, tmp_path: Path
) -> None:
    """Each run cleans up after the one before, and is killed one stage further on."""
    folder = taken.room.state / "backups" if kind is Kind.DRILL else tmp_path / "backups"
    changes = {"directory": str(folder), "amcheck": False}
    room = replace(room, settings=room.settings.model_copy(update=changes))
    configure(room, tmp_path)
    stages = stages_of(kind, room.settings)
    killed: dict[str, str] = {}
    for stage in stages:
        words = [*_COMMANDS[way], kind, "run"]
        killed[killed_in(stage, words, room, tmp_path, {*killed})] = stage
    last = drill(room) if kind is Kind.DRILL else back_up(room)
    assert last.verdict is Verdict.PASS, last.reason
    nothing_left(room, last.id, *killed)
    for run_id, stage in killed.items():
        found = room.history.get(run_id)
        assert found is not None, stage
        assert (found.verdict, found.reason) == (Verdict.ERROR, "killed before it could end"), stage
    if kind is Kind.BACKUP:
        sealed = [run_id for run_id, stage in killed.items() if stage == "tear_down"]
        assert sorted(each.name for each in room.catalogue.folder.iterdir()) == [*sealed, last.id]
