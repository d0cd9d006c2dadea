"""An exact instant of a live database: found between writers, under a brief lock, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from crmops.record import Kind, Verdict
from crmops.secret import Secret
from crmops.verdict import judge
from playbooks.instant import find_instant
from playbooks.job import Outcome
from playbooks.judge import Finished, measures_of, objectives_of
from playbooks.run import Room
from playbooks.runner import Ending
from playbooks.source import Connection, parse_address, write_service
from playbooks.step import run_stage
from tests.playbooks.conftest import Taken, prepared, writing


@pytest.fixture
def address(refcrm_server: Any) -> str:
    return str(refcrm_server.ready["admin_database_url"])


@pytest.fixture
def pair(address: str) -> Iterator[tuple[Connection, Connection]]:
    with (
        psycopg.connect(address, autocommit=True) as reader,
        psycopg.connect(address, autocommit=True) as other,
    ):
        yield reader, other


def test_between_writers(pair: tuple[Connection, Connection], address: str) -> None:
    with writing(address, workers=3):
        found = find_instant(*pair, "t_between", quiet_wait=30, brief_lock=0)
    assert found.how == "between writers" and found.snapshot
    assert found.name == f"t_between_{found.tries}"


def test_a_writer_that_never_pauses_leads_to_a_brief_lock(
    pair: tuple[Connection, Connection], address: str
) -> None:
    with psycopg.connect(address) as busy:
        busy.execute("select pg_current_xact_id()")  # writes nothing yet, but may
        found = find_instant(*pair, "t_lock", quiet_wait=0.1, brief_lock=5)
        assert found.how == "under a brief lock" and found.snapshot
        locks = busy.execute("select count(*) from pg_locks where mode = 'ShareLock'").fetchone()
        assert locks == (0,), "the locks are given back at once"


def test_a_table_that_is_held_makes_it_inexact(
    pair: tuple[Connection, Connection], address: str
) -> None:
    with psycopg.connect(address) as busy:
        busy.execute("update teams set name = name")
        found = find_instant(*pair, "t_held", quiet_wait=0.1, brief_lock=0.2)
        assert found.how == "writers never paused" and found.snapshot is None


def test_unknown_contents_are_no_good_news(room: Room, taken: Taken, address: str) -> None:
    access = room.target.database
    assert access is not None
    with (
        prepared(room, taken.folder, quiet_wait=0.1, brief_lock=0) as job,
        psycopg.connect(address) as busy,
    ):
        write_service(job, parse_address(Secret(address)))
        busy.execute("update teams set name = name")
        stage = run_stage(job, "read_contents")
        assert stage.outcome is Outcome.OK and stage.facts["contents"] is None
        finished = Finished(job, Ending("successful"), (stage,))
    measured = measures_of(Kind.BACKUP, finished)
    assert judge(measured, objectives_of(Kind.BACKUP, job.settings)).verdict is Verdict.UNKNOWN
