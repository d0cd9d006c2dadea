"""What was deleted and dropped at a known second comes back, and nothing after that second does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crmops.errors import CannotRun, UsageError
from crmops.record import Verdict, utc_now
from playbooks.newest import commits_of, newest_moment
from playbooks.postgres import find_binaries
from playbooks.run import drill_forward, drill_to
from tests.playbooks.conftest import Taken, nothing_left, with_settings

_KEPT = """do $$ begin
if (select count(*) from pitr_rows) <> 100 then raise exception 'rows are missing'; end if;
if (select count(*) from pitr_table) <> 1 then raise exception 'the table is empty'; end if;
if to_regclass('pitr_later') is not null then raise exception 'later work came back'; end if;
end $$"""


@pytest.fixture
def moment(refcrm_server: Any, taken: Taken) -> Iterator[datetime]:
    """The moment before an accident: rows deleted, a table dropped, more work done."""
    ready = refcrm_server.ready
    with psycopg.connect(ready["admin_database_url"], autocommit=True) as connection:
        connection.execute("create table pitr_rows as select generate_series(1, 100) as n")
        connection.execute("create table pitr_table as select 1 as n")
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        time.sleep(0.05)
        connection.execute("delete from pitr_rows where n > 40")
        connection.execute("drop table pitr_table")
        connection.execute("create table pitr_later as select 1 as n")
        segment = connection.execute("select pg_walfile_name(pg_switch_wal())").fetchone()
        assert segment is not None
        deadline = time.monotonic() + 60
        while not Path(ready["archive_dir"], segment[0]).exists():
            assert time.monotonic() < deadline, "the segment was not archived"
            time.sleep(0.05)
        try:
            yield row[0]
        finally:
            connection.execute("drop table pitr_rows, pitr_later")


def test_point_in_time(taken: Taken, moment: datetime) -> None:
    room = with_settings(taken.room, smoke={"sql": [_KEPT]})
    run = drill_to(room, moment)
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 6 objectives met")
    assert run.subject == "point-in-time"
    rpo = run.measure("rpo")
    assert rpo is not None and rpo.value is not None
    nothing_left(room, run.id)


def test_rolled_forward_as_far_as_the_archive_reaches(taken: Taken, moment: datetime) -> None:
    later = "do $$ begin if (select count(*) from pitr_rows) <> 40 then raise 'x'; end if; end $$"
    run = drill_forward(with_settings(taken.room, smoke={"sql": [later]}, amcheck=False))
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 6 objectives met")
    text = (taken.room.state / "artifacts" / run.id / "evidence.json").read_text(encoding="utf-8")
    document = json.loads(text)["evidence"]
    newest = document["stages"][5]["facts"]["newest_commit"]
    assert datetime.fromisoformat(newest) > moment, "later work came back as well"
    rpo = run.measure("rpo")
    lost = datetime.fromisoformat(document["incident"]) - datetime.fromisoformat(newest)
    assert rpo is not None and rpo.value == lost.total_seconds()
    nothing_left(taken.room, run.id)


def test_an_archive_without_later_commits(taken: Taken) -> None:
    access = taken.room.target.database
    assert access is not None
    manifest = taken.room.catalogue.read(taken.run.id).model_copy(update={"point_time": utc_now()})
    with pytest.raises(CannotRun, match="holds too little after the backup to roll forward to"):
        newest_moment(manifest, Path(access.archive_directory), find_binaries(""))


def test_programs_that_cannot_read_the_log(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="pg_waldump cannot be run: FileNotFoundError"):
        list(commits_of(tmp_path / "segment", tmp_path))


def test_a_moment_that_the_log_does_not_reach_fails(taken: Taken) -> None:
    run = drill_to(taken.room, utc_now())
    assert run.verdict is Verdict.FAIL
    assert "recovery ended before configured recovery target was reached" in run.reason


def test_a_moment_that_no_backup_reaches(taken: Taken) -> None:
    with pytest.raises(UsageError, match="no backup reaches back to 2020"):
        drill_to(taken.room, datetime.fromisoformat("2020-01-01T00:00:00+00:00"))
    with pytest.raises(UsageError, match="has not come yet"):
        drill_to(taken.room, utc_now() + timedelta(days=1))
