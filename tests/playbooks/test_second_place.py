"""The second copy goes on where it broke off, and is never taken for whole when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from crmops.errors import CannotRun, ConfigError
from crmops.record import Verdict, new_id
from playbooks.catalogue import write_manifest
from playbooks.chores import apply_retention, at_offsite, copy_offsite
from playbooks.prune import finish_removals, note, plan_retention, read_journal
from playbooks.run import Room
from playbooks.second_place import copy_files, copy_on, differing, second_place
from playbooks.tree import hash_file
from tests.playbooks.conftest import Taken, nothing_left, prepared, with_settings
from tests.playbooks.here import stages_here


def test_a_broken_off_copy_goes_on(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    content = bytes(range(256)) * 40_000
    source.write_bytes(content)
    (tmp_path / ".target.part").write_bytes(content[:7_000_000])
    done = copy_on(source, target)
    assert (done.bytes, done.continued) == (len(content) - 7_000_000, 1)
    assert target.read_bytes() == content
    assert copy_on(source, target).bytes == 0


def test_a_beginning_that_is_another_is_copied_anew(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"a" * 5_000_000)
    for there in (tmp_path / ".target.part", target):
        there.write_bytes(b"b" * 4_000_000)
        assert copy_on(source, target).bytes == 5_000_000
        assert target.read_bytes() == source.read_bytes()
        target.unlink()
    target.write_bytes(b"c" * 9_000_000)
    copy_on(source, target)
    assert target.read_bytes() == source.read_bytes(), "a longer one is cut"


def test_what_is_missing_altered_or_strange_is_named(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("1")
    place = tmp_path / "place"
    copy_files({"data/a": tmp_path / "source", "data/b": tmp_path / "source"}, place)
    wanted = {f"data/{each}": hash_file(tmp_path / "source") for each in "abc"}
    (place / "data" / "b").write_text("2")
    (place / "data" / "d").write_text("3")
    assert differing(place, wanted) == [
        "data/b has changed", "data/c is missing", "data/d was not backed up"
    ]  # fmt: skip


def test_a_second_place_is_there_and_is_another(taken: Taken, room: Room, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no second place is configured"):
        copy_offsite(room)
    with prepared(taken.room, taken.folder) as job:
        for place, why in (
            (tmp_path / "mount", "is not there"),
            (taken.folder.parents[1], "is no second place: it overlaps with"),
        ):
            backup = job.settings.backup.model_copy(update={"offsite": place})
            settings = job.settings.model_copy(update={"backup": backup})
            with pytest.raises(CannotRun, match=why):
                second_place(job.model_copy(update={"settings": settings}))


@pytest.fixture
def many(taken: Taken, room: Room, tmp_path: Path) -> Iterator[Room]:
    """Five sealed backups without files, a day apart; two are to be kept."""
    (tmp_path / "second").mkdir()
    kept = with_settings(room, keep=2, backup={"offsite": str(tmp_path / "second")})
    manifest = taken.room.catalogue.read(taken.run.id)
    for catalogue in (kept.catalogue, at_offsite(kept).catalogue):
        for day in range(5):
            made = new_id()
            catalogue.place(made).mkdir(parents=True)
            changed = {"id": made, "ended": manifest.ended + timedelta(days=day)}
            write_manifest(catalogue.place(made), manifest.model_copy(update=changed))
    yield kept


def test_only_the_plan_that_was_looked_at_is_carried_out(many: Room) -> None:
    plan = plan_retention(many.catalogue, many.settings)
    assert [each.goes for each in plan.lines] == [False, False, True, True, True]
    here = stages_here("retention_plan", "retention_apply", "tear_down")
    other = replace(with_settings(many, keep=1, backup=many.settings.backup), player=here)
    run = apply_retention(other, plan.digest)
    assert run.verdict is Verdict.FAIL and "look at it again" in run.reason
    assert len(many.catalogue.ids()) == 5
    run = apply_retention(many, plan.digest)
    assert run.verdict is Verdict.PASS, run.reason
    assert many.catalogue.ids() == [each.backup for each in plan.lines if not each.goes]
    written = [(each["what"], each["backup"]) for each in read_journal(many.catalogue.folder)]
    assert written == [
        (what, each.backup) for each in plan.going for what in ("removing", "removed")
    ]
    assert len(at_offsite(many).catalogue.ids()) == 5, "the second copies are another matter"
    nothing_left(many, run.id)


def test_a_killed_removal_is_finished(many: Room) -> None:
    gone, kept = many.catalogue.ids()[:2]
    for each in (gone, kept):
        note(many.catalogue.folder, {"what": "removing", "backup": each})
    (many.catalogue.place(gone) / "crmops-backup.json").unlink()
    assert finish_removals(many.catalogue, "R") == [gone]
    assert not many.catalogue.place(gone).exists()
    assert many.catalogue.place(kept).exists(), "it is whole still"
    assert finish_removals(many.catalogue, "R") == []


def test_a_second_copy_reaches_no_later_moment(many: Room) -> None:
    from crmops.errors import UsageError
    from playbooks.run import drill_forward

    with pytest.raises(UsageError, match="up to its backup's own instant only"):
        drill_forward(replace(many, offsite=True))
