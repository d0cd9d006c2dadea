"""A damaged backup must not pass: the whole catalogue, on a real database, control included."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmops.record import Verdict
from playbooks.faults import CATALOGUE, Fault
from playbooks.mutate import fault_table, mutate
from playbooks.settings import Smoke
from tests.playbooks.conftest import Taken, nothing_left, with_settings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "drills.md"


@pytest.mark.timeout(600)
def test_every_fault_is_noticed_and_the_control_passes(taken: Taken) -> None:
    before = taken.room.catalogue.read(taken.run.id)
    smoke = Smoke(sql=("select no_such_column from contacts",))
    words = 'column "no_such_column" does not exist'
    failing = Fault("a statement that fails", "smoke", words, settings={"smoke": smoke})
    run, results = mutate(taken.room, faults=(*CATALOGUE, failing))
    assert [each for each in results if not each.right] == []
    assert results[0].fault == "nothing (control)" and results[0].verdict is Verdict.PASS
    assert (run.verdict, run.subject) == (Verdict.PASS, "mutate")
    assert taken.room.catalogue.read(taken.run.id) == before
    nothing_left(taken.room, run.id)


def test_a_drill_that_notices_nothing_is_found_out(taken: Taken) -> None:
    harmless = Fault("nothing at all", "compare", "differs")
    run, results = mutate(taken.room, faults=(harmless,))
    assert (run.verdict, run.reason) == (Verdict.FAIL, "faults.missed is 1, not == 0")
    assert [each.right for each in results] == [True, False]
    assert run.findings[0].title == "not noticed: nothing at all"


def test_a_control_that_fails_is_found_out(taken: Taken) -> None:
    strict = with_settings(taken.room, minimum_rows=1 << 40)
    run, _ = mutate(strict, faults=())
    assert run.verdict is not Verdict.PASS
    assert "control.passed is 0" in run.reason


def test_the_table_in_the_docs_is_the_catalogue() -> None:
    assert fault_table() in DOCS.read_text(encoding="utf-8")
