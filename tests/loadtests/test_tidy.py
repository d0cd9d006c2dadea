"""The journal, and what is concluded from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.journal import JournalWriter, Update, fingerprint, read_journals
from loadtests.tidy import fields_lost

SALT = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def update(value: object, begun: float, ended: float | None) -> Update:
    return Update(begun, ended, {"stage": fingerprint(value, SALT)})


@pytest.mark.parametrize(
    ("updates", "holds", "lost"),
    [
        ([("a", 1, 2)], "a", False),
        ([("a", 1, 2)], "b", True),
        ([("a", 1, 2), ("b", 3, 4)], "a", True),
        ([("a", 1, 2), ("b", 3, 4)], "b", False),
        ([("a", 1, 3.5), ("b", 3, 4)], "a", False),
        ([("a", 1, 2), ("b", 3, None)], "a", False),
        ([("a", 1, 2), ("b", 3, None)], "b", False),
        ([("a", 1, 2), ("b", 3, None)], "c", True),
        ([("b", 3, None)], "c", False),
    ],
)
def test_an_update_holds_unless_another_may_have_come_later(
    updates: list[tuple[str, float, float | None]], holds: str, lost: bool
) -> None:
    made = [update(*each) for each in updates]
    assert fields_lost({"stage": holds}, made, SALT) == (["stage"] if lost else [])


@pytest.mark.parametrize(("one", "other"), [(5, "5.00"), (5.0, 5), ("a", "a")])
def test_a_number_is_the_same_however_it_is_written(one: object, other: object) -> None:
    assert fingerprint(one, SALT) == fingerprint(other, SALT)


def test_another_run_hashes_otherwise() -> None:
    assert fingerprint("a@b.example", SALT) != fingerprint("a@b.example", "01OTHER")


def test_a_journal_reads_back_what_it_was_told(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "00-journal.jsonl", SALT)
    writer.trying("lead", 1.0)
    writer.made("lead", "7")
    writer.updated("lead", "7", {"email": "somebody@example.com"}, 1.0, 2.0)
    writer.deleted("lead", "7")
    writer.close()
    with (tmp_path / "01-journal.jsonl").open("w") as other:
        other.write('{"made":"deal","id":"9"}\n{"made":"de')
    text = (tmp_path / "00-journal.jsonl").read_text()
    assert "somebody" not in text
    found = read_journals(tmp_path)
    assert found.made == {("lead", "7"): 1, ("deal", "9"): 1}
    assert found.tries == {"lead": 1}
    assert found.gone == {("lead", "7")}
    assert found.updates[("lead", "7")][0].ended == 2.0
    assert found.torn == 1
    assert found.entities == ["deal", "lead"]


def test_a_bulk_import_is_a_line_a_record(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "00-journal.jsonl", SALT)
    writer.made_many("lead", [str(number) for number in range(3_000)])
    writer.made_many("lead", [])
    writer.close()
    found = read_journals(tmp_path)
    assert len(found.made) == 3_000
    assert found.torn == 0
