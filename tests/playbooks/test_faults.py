"""A damaged backup must not pass: each fault is caught by the stage that can know it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from playbooks.catalogue import MANIFEST, read_manifest, write_manifest
from playbooks.job import Outcome, Stage
from playbooks.judge import DRILL_STAGES
from playbooks.run import Room
from playbooks.step import run_stage
from tests.playbooks.conftest import Taken, prepared

Damage = Callable[[Path, Path], None]


def walk(room: Room, backup: Path, **settings: Any) -> Stage:
    """Run the stages of a drill until one does not end well; the last one's record."""
    with prepared(room, backup, **settings) as job:
        for name in DRILL_STAGES:
            stage = run_stage(job, name)
            job.add(stage)
            if stage.outcome is not Outcome.OK:
                break
        return stage


def _table_file(backup: Path) -> Path:
    """The largest file of a table."""
    base = backup / "data" / "base"
    return max((e for e in base.rglob("*") if e.name.isdigit()), key=lambda e: e.stat().st_size)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _segments(archive: Path) -> list[Path]:
    return sorted(e for e in archive.iterdir() if len(e.name) == 24)


def _edit(backup: Path, name: str, value: object) -> None:
    path = backup / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))


def _truncate(path: Path, size: int) -> None:
    with path.open("r+b") as stream:
        stream.truncate(size)


FAULTS: dict[str, tuple[Damage, str, str]] = {
    "byte flipped": (
        lambda backup, _: _flip(_table_file(backup)), "verify_backup", "has changed"),
    "file truncated": (
        lambda backup, _: _truncate(_table_file(backup), 8192), "verify_backup", "has changed"),
    "table file missing": (
        lambda backup, _: _table_file(backup).unlink(), "verify_backup", "is missing"),
    "backup_label missing": (
        lambda backup, _: (backup / "data/backup_label").unlink(), "verify_backup", "backup_label"),
    "PostgreSQL's manifest edited": (
        lambda backup, _: _flip(backup / "data/backup_manifest"), "verify_backup", "has changed"),
    "our manifest edited": (
        lambda backup, _: _edit(backup, "point", "elsewhere"), "fetch", "seal does not match"),
    "our manifest cut": (
        lambda backup, _: _truncate(backup / MANIFEST, 1000), "fetch", "does not read"),
    "last segment missing": (
        lambda _, archive: _segments(archive)[-1].unlink(), "fetch", "is missing"),
    "segment truncated": (
        lambda _, archive: _truncate(_segments(archive)[0], 4096), "fetch", "has 4096 bytes"),
    "segment altered": (
        lambda _, archive: _flip(_segments(archive)[0]), "fetch", "not the one that was archived"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(name: str, copied: Room, taken: Taken, tmp_path: Path) -> None:
    damage, stage, words = FAULTS[name]
    backup = copied.catalogue.place(taken.run.id)
    damage(backup, tmp_path / "archive")
    last = walk(copied, backup)
    assert (last.name, last.outcome) == (stage, Outcome.FAIL), last.reason
    assert words in last.reason


def _forge(backup: Path, **changes: Any) -> None:
    """Change the manifest and seal it anew: what the outer layers cannot notice."""
    manifest = read_manifest(backup).model_copy(update=changes)
    write_manifest(backup, manifest)


def test_contents_that_differ_are_caught(copied: Room, taken: Taken) -> None:
    backup = copied.catalogue.place(taken.run.id)
    contents = read_manifest(backup).contents
    assert contents is not None
    tables = tuple(
        e.model_copy(update={"digest": "1"}) if e.table == "public.deals" else e
        for e in contents.tables
    )
    _forge(backup, contents=contents.model_copy(update={"tables": tables}))
    last = walk(copied, backup)
    assert (last.name, last.outcome) == ("compare", Outcome.FAIL)
    assert "public.deals has the same" in last.reason and last.facts["differing"] == 1


def test_target_that_is_never_reached_is_caught(copied: Room, taken: Taken) -> None:
    backup = copied.catalogue.place(taken.run.id)
    _forge(backup, point="a-point-that-never-was")
    last = walk(copied, backup)
    assert (last.name, last.outcome) == ("recover", Outcome.FAIL)
    assert "recovery ended before configured recovery target was reached" in last.reason


def test_missing_database_is_caught(copied: Room, taken: Taken) -> None:
    backup = copied.catalogue.place(taken.run.id)
    _forge(backup, database="another")
    last = walk(copied, backup)
    assert (last.name, last.outcome) == ("compare", Outcome.FAIL)
    assert last.reason == "the restored copy has no database 'another'"


def test_another_system_is_caught(copied: Room, taken: Taken) -> None:
    backup = copied.catalogue.place(taken.run.id)
    _forge(backup, system_identifier="1")
    last = walk(copied, backup)
    assert (last.name, last.outcome) == ("verify_backup", Outcome.FAIL)
    assert last.reason == "the backup is of another system than its manifest says"


def test_statement_of_the_smoke_test_that_fails_is_caught(copied: Room, taken: Taken) -> None:
    backup = copied.catalogue.place(taken.run.id)
    smoke = {"sql": ("select 1 from contacts limit 1", "select no_such_column from contacts")}
    last = walk(copied, backup, smoke=smoke)
    assert (last.name, last.outcome) == ("smoke", Outcome.FAIL), last.reason
    assert 'column "no_such_column" does not exist' in last.reason
