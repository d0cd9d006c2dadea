"""Plain ansible-playbook: an encrypted backup, its second copy, and a drill from that copy.

Everything that a person may not read in it, planted secrets and rows of people, is looked for in
whatever it left behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crmops.record import Kind, Run, Verdict
from playbooks.chores import at_offsite, copy_offsite, verify
from playbooks.encryption import make_keys
from playbooks.faults import _flip as flip
from playbooks.run import Room
from playbooks.runner import PROJECT
from tests.playbooks.conftest import PLANTED, make_room, nothing_left
from tests.playbooks.here import stages_here, watching

_ANSIBLE = Path(sys.executable).with_name("ansible-playbook")


class Hand:
    """A room whose backups are encrypted, with a configuration file that says the same."""

    def __init__(self, source: Any, state: Path) -> None:
        self.state = state
        self.keys = [state / "operator.txt", state / "escrow.txt"]
        backup = {
            "encrypt_to": [make_keys(each) for each in self.keys],
            "identity": str(self.keys[0]),
            "offsite": str(state / "second"),
        }
        (state / "second").mkdir(mode=0o700)
        self.room: Room = make_room(source, state, backup=backup)
        (state / "address").write_text(source.backup_url.reveal())
        (state / "address").chmod(0o600)
        target = {
            "connector": "refcrm",
            "url": "http://127.0.0.1:9",
            "database": {
                "url": f"file:{state / 'address'}",
                "archive_directory": source.archive_directory,
                "data_directory": source.data_directory,
            },
        }
        config = {
            "state": str(state),
            "history": {"url": f"sqlite:///{state / 'history.sqlite'}"},
            "targets": {"crm": target},
            "drills": {"backup": backup},
        }
        (state / "crmops.yaml").write_text(json.dumps(config))

    def begin(self, playbook: str, *options: str) -> subprocess.Popen[str]:
        """Start a playbook as a person would."""
        given = {"crmops_job_config": str(self.state / "crmops.yaml"),
                 "crmops_job_options": list(options)}  # fmt: skip
        return subprocess.Popen(
            [str(_ANSIBLE), "-i", str(PROJECT / "inventories" / "local.yml"),
             str(PROJECT / playbook), "-e", json.dumps(given)],
            cwd=self.state, env={
                **os.environ,
                "ANSIBLE_HOME": str(self.state / "ansible"),
                "ANSIBLE_REMOTE_TEMP": str(self.state / "unpacked"),
            },
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def play(self, playbook: str, *options: str) -> tuple[int, str]:
        """Run a playbook to its end; its exit code and what it printed."""
        process = self.begin(playbook, *options)
        said, _ = process.communicate(timeout=240)
        return process.returncode, said

    @property
    def secrets(self) -> list[str]:
        """The private keys."""
        return [each.read_text().splitlines()[-1] for each in self.keys]

    def newest(self, kind: Kind) -> Run:
        return self.room.history.find(kind)[0]


@pytest.fixture(scope="module")
def hand(source: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    made = Hand(source, tmp_path_factory.mktemp("hand"))
    yield made
    made.room.history.close()


@pytest.fixture(scope="module")
def backup(hand: Hand) -> Run:
    with watching([PLANTED, *hand.secrets]) as seen:
        code, said = hand.play("backup.yml")
    assert code == 0, said
    assert seen == []
    return hand.newest(Kind.BACKUP)


def test_plain_ansible_takes_an_encrypted_backup(hand: Hand, backup: Run) -> None:
    assert (backup.verdict, backup.reason) == (Verdict.PASS, "all 5 objectives met")
    folder = hand.room.catalogue.place(backup.id)
    manifest = hand.room.catalogue.read(backup.id)
    assert manifest.encrypted is not None and len(manifest.encrypted.recipients) == 2
    assert {e.suffix for e in folder.rglob("*") if e.is_file()} == {".age", ".json"}
    nothing_left(hand.room, backup.id)
    assert list((hand.state / "doors").iterdir()) == []


def test_second_copy_and_a_drill_from_it_with_the_escrow_key(hand: Hand, backup: Run) -> None:
    copied = copy_offsite(hand.room)
    assert (copied.verdict, copied.subject) == (Verdict.PASS, "offsite"), copied.reason
    assert copied.findings[0].title == "the second place lies on the same disk"
    with watching([PLANTED, *hand.secrets]) as seen:
        code, said = hand.play(
            "restore_drill.yml", "--from", "offsite", "--identity", str(hand.keys[1])
        )
    assert seen == []
    assert code == 0, said
    run = hand.newest(Kind.DRILL)
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 6 objectives met")
    evidence = json.loads(
        (hand.state / "artifacts" / run.id / "evidence.json").read_text(encoding="utf-8")
    )["evidence"]
    facts = evidence["stages"][0]["facts"]
    assert facts["opened_with"] == [hand.room.settings.backup.encrypt_to[1]]
    assert evidence["backup"] == backup.id
    nothing_left(hand.room, run.id)


def test_a_stored_backup_is_verified_where_it_lies_and_damage_is_found(
    hand: Hand, backup: Run
) -> None:
    room = replace(hand.room, player=stages_here("check_stored", "tear_down"))
    run = verify(room)
    assert run.verdict is Verdict.PASS, run.reason
    opened, files = run.measure("files.opened"), run.measure("files")
    assert opened is not None and files is not None and opened.value == files.value
    second = at_offsite(hand.room)
    room = replace(hand.room, player=stages_here("offsite_copy", "offsite_check", "tear_down"))
    copy_offsite(room)
    damaged = next((second.catalogue.place(backup.id) / "wal").iterdir())
    flip(damaged)
    again = copy_offsite(room)
    assert again.verdict is Verdict.FAIL
    assert again.reason == f"the second copy is damaged: wal/{damaged.name} has changed"
    flip(damaged)


def test_a_failed_playbook_is_a_failed_run(hand: Hand, backup: Run) -> None:
    code, said = hand.play("verify_backup.yml", "--backup", "another")
    assert code == 2
    assert "there is no backup 'another' of crm" in said
    assert list((hand.state / "doors").iterdir()) == []


def test_a_playbook_that_is_killed_leaves_a_record_and_nothing_else(
    hand: Hand, backup: Run
) -> None:
    process = hand.begin("verify_backup.yml")
    try:
        _wait(lambda: any((hand.state / "doors").glob("*/ready.json")))
        running = hand.room.history.live()[0].run.id
    finally:
        process.kill()
        process.communicate()
    _wait(lambda: not hand.room.history.live())
    found = hand.room.history.get(running)
    assert found is not None and found.verdict is Verdict.ERROR
    assert found.reason == "the playbook was killed before stage check_stored ended"
    _wait(lambda: not [*hand.room.jobs.iterdir(), *(hand.state / "doors").iterdir()])
    nothing_left(hand.room, running)


def _wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def test_secrets_and_people_are_nowhere(hand: Hand, backup: Run, refcrm_server: Any) -> None:
    with psycopg.connect(refcrm_server.ready["admin_database_url"]) as connection:
        rows = connection.execute(
            "select distinct email from contacts where length(email) > 12 limit 50"
        ).fetchall()
    words = [PLANTED, *hand.secrets, *(str(row[0]) for row in rows)]
    assert len(words) > 20
    kept = {"address", *(each.name for each in hand.keys)}
    for path in hand.state.rglob("*"):
        if path.is_file() and path.name not in kept:
            content = path.read_bytes()
            assert not [each for each in words if each.encode() in content], path
