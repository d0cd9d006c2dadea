"""A damaged backup must not pass: one fault of each class on a real database, and the control.

The whole catalogue takes minutes: ``crmops drill mutate`` runs it, and so does this module with
CRMOPS_ALL_FAULTS=1.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crmops.record import Verdict
from playbooks.faults import CATALOGUE, Fault
from playbooks.mutate import fault_table, mutate
from playbooks.settings import Smoke
from tests.playbooks.conftest import Taken, nothing_left, with_settings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "drills.md"


def one_of_each_class() -> tuple[Fault, ...]:
    """One fault for each stage that notices, with each verdict that it may come to."""
    if os.environ.get("CRMOPS_ALL_FAULTS"):
        return CATALOGUE
    classes = {(each.caught_by, each.verdict): each for each in CATALOGUE}
    return tuple(each for each in CATALOGUE if each in classes.values())


def test_every_class_of_the_catalogue_is_tried() -> None:
    tried = {(each.caught_by, each.verdict) for each in one_of_each_class()}
    assert tried == {(each.caught_by, each.verdict) for each in CATALOGUE}


@pytest.mark.timeout(900)
def test_every_class_of_fault_is_noticed_and_the_control_passes(taken: Taken) -> None:
    before = taken.room.catalogue.read(taken.run.id)
    smoke = Smoke(sql=("select no_such_column from contacts",))
    words = 'column "no_such_column" does not exist'
    failing = Fault("a statement that fails", "smoke", words, settings={"smoke": smoke})
    run, results = mutate(taken.room, faults=(*one_of_each_class(), failing))
    assert [each for each in results if not each.right] == []
    assert results[0].fault == "nothing (control)" and results[0].verdict is Verdict.PASS
    assert (run.verdict, run.subject) == (Verdict.PASS, "mutate")
    assert taken.room.catalogue.read(taken.run.id) == before
    nothing_left(taken.room, run.id)


def test_a_drill_that_notices_nothing_and_a_control_that_fails_are_found_out(taken: Taken) -> None:
    strict = with_settings(taken.room, minimum_rows=1 << 40, amcheck=False)
    harmless = Fault("nothing at all", "compare", "differs", settings={"minimum_rows": 1})
    run, results = mutate(strict, faults=(harmless,))
    assert [(each.verdict, each.right) for each in results] == [
        (Verdict.FAIL, False), (Verdict.PASS, False)
    ]  # fmt: skip
    assert run.verdict is Verdict.FAIL
    assert "control.passed is 0" in run.reason and "faults.missed is 1" in run.reason
    assert [each.title for each in run.findings] == [
        "not noticed: nothing (control)",
        "not noticed: nothing at all",
    ]


def test_the_table_in_the_docs_is_the_catalogue() -> None:
    assert fault_table() in DOCS.read_text(encoding="utf-8")
