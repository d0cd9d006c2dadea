"""A fall of the score against the median of the last seven audits with the same rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crmops.history import History
from crmops.record import Kind, Measure, Run, Unit, Verdict, new_run, utc_now
from dq_checks.trend import drop
from tests.dq_checks.support import Auditor, Database, rule, suite


def _measures(score: float | None, rules: str = "ab") -> list[Measure]:
    named = [f"rule.score{{p.{each}}}" for each in rules]
    return [
        Measure(name="score", value=score, unit=Unit.RATIO, observed=9),
        *(Measure(name=each, value=1.0, unit=Unit.RATIO, observed=9) for each in named),
    ]


def _past(history: History, scores: list[float | None], rules: str = "ab") -> None:
    for at, score in enumerate(scores):
        begun = utc_now() - timedelta(days=len(scores) - at)
        run = new_run(Kind.DQ, "crm", "people").with_(
            begun=begun, measures=tuple(_measures(score, rules)), ended=begun, verdict=Verdict.PASS
        )
        history.record(run)


@pytest.mark.parametrize(
    ("past", "now", "value", "observed"),
    [
        ([], 0.9, None, 0),
        ([0.9, 0.9], 0.1, None, 2),
        ([0.9, 0.9, 0.9], None, None, 3),
        ([0.9, 0.8, 0.7], 0.7, 0.1, 3),
        ([0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.2, 0.2, 0.2], 0.9, 0.0, 7),
        ([0.9, None, 0.9, None, 0.9], 1.0, -0.1, 3),
    ],
)
def test_the_drop(
    history: History,
    past: list[float | None],
    now: float | None,
    value: float | None,
    observed: int,
) -> None:
    _past(history, past)
    _past(history, [0.0, 0.0, 0.0], rules="abc")  # another suite of the same name
    made = drop(history, new_run(Kind.DQ, "crm", "people"), _measures(now))
    assert (made.name, made.observed) == ("score.drop", observed)
    assert made.value == (None if value is None else pytest.approx(value))


def test_an_audit_says_that_its_score_fell(auditor: Auditor, database: Database) -> None:
    database.do(
        "create table people (id int, name text)",
        "insert into people select i, 'a' from generate_series(1, 10) i",
    )
    people = suite(rule("p.name", "filled", column="name", threshold=0.5))

    def audit() -> Run:
        return auditor.run(database.auditor, people, objectives=[])

    first = [audit() for _ in range(3)]
    assert all("fell" not in each.title for run in first for each in run.findings)
    database.do("update people set name = null where id = 1")
    fallen = audit()
    measured = fallen.measure("score.drop")
    assert measured is not None and measured.value == pytest.approx(0.1)
    assert [(each.title, each.severity) for each in fallen.findings] == [
        ("the score fell", "warning")
    ]
    assert "below the median of the last 3 audits" in fallen.findings[0].detail
