"""Every rule against the defects that were planted for it."""

from __future__ import annotations

import pytest

from crmops.record import Run, Verdict
from dq_checks.calibrate import calibrate
from dq_checks.catalogue import find_suites
from dq_checks.run import Audit
from dq_checks.settings import Settings
from dq_checks.suite import Suite
from tests.dq_checks.support import Auditor, Database, rule, suite

FINDS = {"kind": "missing", "field": "name"}


def _calibrated(auditor: Auditor, url: str, *suites: Suite) -> list[Run]:
    return calibrate(Audit("crm", url, Settings(), auditor.history), suites, auditor.worker)


def test_shipped_rules_find_what_was_planted_and_nothing_else(
    auditor: Auditor, seeded: Database
) -> None:
    suites = [each for each in find_suites().values() if any(one.finds for one in each.rules)]
    runs = _calibrated(auditor, seeded.auditor, *suites)
    assert {each.subject: each.reason for each in runs if each.verdict is not Verdict.PASS} == {}
    measured = {each.name: each.value for run in runs for each in run.measures}
    assert len(measured) == 2 * sum(one.finds is not None for s in suites for one in s.rules)
    assert set(measured.values()) == {1.0}


@pytest.mark.parametrize(
    ("planted", "verdict", "recall", "precision"),
    [
        ((2,), Verdict.PASS, 1.0, 1.0),
        ((2, 3), Verdict.FAIL, 0.5, 1.0),
        ((3,), Verdict.FAIL, 0.0, 0.0),
        ((), Verdict.FAIL, None, 0.0),
    ],
)
def test_what_is_missed_and_what_is_made_up(
    auditor: Auditor,
    database: Database,
    planted: tuple[int, ...],
    verdict: Verdict,
    recall: float | None,
    precision: float,
) -> None:
    database.do(
        "create table people (id int, name text)",
        "insert into people values (1, 'a'), (2, null), (3, 'c')",
        "create table defects"
        " (entity text, record_id int, kind text, field text, of_record_id int)",
        *(f"insert into defects values ('people', {at}, 'missing', 'name')" for at in planted),
    )
    named = suite(rule("p.name", "filled", column="name", finds=FINDS))
    (run,) = _calibrated(auditor, database.auditor, named)
    found = {each.name: each.value for each in run.measures}
    assert found == {"rule.recall{p.name}": recall, "rule.precision{p.name}": precision}
    assert run.verdict is verdict
    assert bool(run.findings) is (recall == 0.0)


def test_a_database_without_truth(auditor: Auditor, database: Database) -> None:
    database.do("create table people (id int, name text)", "insert into people values (1, null)")
    named = suite(rule("p.name", "filled", column="name", finds=FINDS))
    (run,) = _calibrated(auditor, database.auditor, named)
    assert run.verdict is Verdict.ERROR
    assert run.reason == "the planted defects cannot be read: the table is missing"
    (silent,) = _calibrated(auditor, database.auditor, suite(rule("p.x", "filled", column="name")))
    assert silent.verdict is Verdict.UNKNOWN
