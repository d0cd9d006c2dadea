"""A backup under write load, a drill from it, and what they leave behind: evidence only."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crmops.history import open_history
from crmops.record import Verdict
from playbooks.plan import plan_drill
from playbooks.run import Room, drill, signed_by
from tests.playbooks.conftest import PLANTED, Taken, nothing_left, with_settings, writing


def _state_of_source(address: str) -> tuple[Any, ...]:
    with psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute(
            "select system_identifier, timeline_id, pg_is_in_recovery(),"
            " (select failed_count from pg_stat_archiver),"
            " (select count(*) from pg_replication_slots),"
            " (select sum(checksum_failures) from pg_stat_database)"
            " from pg_control_system(), pg_control_checkpoint()"
        ).fetchone()
    assert row is not None
    return row


def test_backup_under_write_load_knows_its_contents(taken: Taken) -> None:
    assert (taken.run.verdict, taken.run.reason) == (Verdict.PASS, "all 5 objectives met")
    assert taken.written > 0, "nobody wrote: this proved nothing"
    manifest = taken.room.catalogue.read(taken.run.id)
    assert manifest.contents is not None and manifest.contents.rows > 300
    assert manifest.exact == "between writers"
    assert {"public.contacts", "public.deals"} <= {e.table for e in manifest.contents.tables}


def test_drill_restores_exactly_and_leaves_the_source_alone(
    taken: Taken, refcrm_server: Any
) -> None:
    address = refcrm_server.ready["admin_database_url"]
    archive = Path(refcrm_server.ready["archive_dir"])
    before, archived = (
        _state_of_source(address),
        {e.name: e.stat().st_ino for e in archive.iterdir()},
    )
    lines: list[str] = []
    serve = [sys.executable, "-m", "refcrm", "serve", "--database", "{database_url}"]
    serve += ["--port", "0", "--ready-file", "{ready_file}"]
    room = replace(with_settings(taken.room, smoke={"serve": serve}), say=lines.append)
    room = signed_by(room, operator="Grace", approver="Ada")
    with writing(address):
        run = drill(room)
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 6 objectives met")
    values = {each.name: each.value for each in run.measures}
    assert values["tables.differing"] == 0 and (values["tables.compared"] or 0) >= 12
    assert 0 < (values["rto"] or 0) <= 3600 and 0 < (values["rpo"] or 0) <= 86400
    assert _state_of_source(address) == before
    after = {each.name: each.stat().st_ino for each in archive.iterdir()}
    assert archived.items() <= after.items(), "the drill changed the archive"
    assert any("Recover to the named instant" in each for each in lines)
    _plan_knows_the_time(room, run.seconds)
    evidence = _evidence(taken, run.id)
    checks = {c["name"]: c["passed"] for each in evidence["stages"] for c in each["checks"]}
    assert checks["the application answers"], "refcrm was to serve the restored copy"
    assert (evidence["operator"], evidence["approver"]) == ("Grace", "Ada")
    assert evidence["backup"] == taken.run.id and evidence["verdict"] == "pass"
    assert [e["name"] for e in evidence["stages"]][-1] == "tear_down"
    nothing_left(room, taken.run.id, run.id)


def _plan_knows_the_time(room: Room, seconds: float | None) -> None:
    """A plan tells what the drill before it took, by stage, and what twice the bytes would take."""
    plan = plan_drill(room)
    assert plan.seconds_last_time == seconds and plan.obstacles == ()
    assert set(plan.stages) == set(plan.stage_seconds) and plan.bytes_free > plan.bytes_needed
    assert plan.seconds_expected == pytest.approx(seconds, abs=0.2)
    empty = open_history(f"sqlite:///{room.state / 'empty.sqlite'}", room.state / "empty")
    unknown = replace(room, history=empty)
    assert plan_drill(unknown).seconds_expected is None
    empty.close()


def test_planted_secret_is_nowhere(taken: Taken) -> None:
    for path in taken.room.state.rglob("*"):
        if path.is_file():
            assert PLANTED.encode() not in path.read_bytes(), path


def test_backups_are_for_their_owner_only(taken: Taken) -> None:
    for each in (taken.folder, taken.folder / "data", taken.folder.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700, each
        assert each.stat().st_uid == os.geteuid()


def _evidence(taken: Taken, run_id: str) -> dict[str, Any]:
    path = taken.room.state / "artifacts" / run_id / "evidence.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["evidence"]
    return found
