"""Rules that look at a share of the rows: the same rows everywhere, and how sure they are."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.record import Run, Verdict
from dq_checks.confidence import wilson
from dq_checks.messages import Count
from dq_checks.scores import Result, score
from dq_checks.suite import Rule
from tests.dq_checks.support import Auditor, Database, rule, suite

ROWS = 4000


def _fill(database: Database) -> None:
    database.do(
        "create table people (id int, name text)",
        "insert into people select i, case when i % 5 > 0 then 'a' end"
        f" from generate_series(1, {ROWS}) i",
    )


def _values(run: Run, stem: str) -> tuple[float, int]:
    found = run.measure(f"{stem}{{p.s}}")
    assert found is not None and found.value is not None
    return found.value, found.observed


@pytest.mark.parametrize(
    ("threshold", "verdict", "reason"),
    [
        (0.7, Verdict.PASS, "all 2 objectives met"),
        (0.8, Verdict.UNKNOWN, "too small a sample to tell: p.s"),
        (0.9, Verdict.FAIL, "rule.score.high{p.s} is "),
    ],
)
def test_the_interval_decides(
    auditor: Auditor, database: Database, threshold: float, verdict: Verdict, reason: str
) -> None:
    _fill(database)
    people = suite(
        rule("p.s", "filled", column="name", threshold=threshold, sample=0.25),
        rule("p.w", "filled", column="name", threshold=0.0),
    )
    run = auditor.run(database.auditor, people, objectives=[])
    value, seen = _values(run, "rule.score")
    (low, one), (high, two) = _values(run, "rule.score.low"), _values(run, "rule.score.high")
    assert seen == one == two and 0.2 * ROWS < seen < 0.3 * ROWS
    assert low < value < high and low < 0.8 < high
    assert (run.verdict, run.reason[: len(reason)]) == (verdict, reason)
    assert run.measure("rule.score.low{p.w}") is None
    again = auditor.run(database.auditor, people, objectives=[])
    assert _values(again, "rule.score") == (value, seen)


def test_the_same_rows_on_every_engine(
    auditor: Auditor, database: Database, tmp_path: Path
) -> None:
    _fill(database)
    path = tmp_path / "people.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table people (id int, name text)")
        rows = ((at, "a" if at % 5 else None) for at in range(1, ROWS + 1))
        connection.executemany("insert into people values (?, ?)", rows)
    people = suite(rule("p.s", "filled", column="name", sample=0.1))
    one = auditor.run(database.auditor, people, worklist_rows=ROWS)
    two = auditor.run(f"sqlite:///{path}", people, worklist_rows=ROWS)
    assert _values(one, "rule.bad") == _values(two, "rule.bad")
    assert auditor.listed(one) == auditor.listed(two)


@given(st.integers(1, 10_000), st.data())
def test_wilson(seen: int, data: st.DataObject) -> None:
    good = data.draw(st.integers(0, seen))
    found = wilson(good, seen)
    assert found is not None
    low, high = found
    assert 0 <= low <= good / seen + 1e-12 and good / seen - 1e-12 <= high <= 1 and low < high
    other = wilson(seen - good, seen)
    assert other is not None and other[0] == pytest.approx(1 - high, abs=1e-9)


@pytest.mark.parametrize(
    ("good", "seen", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611)],
)
def test_wilson_by_the_book(good: int, seen: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I, method 3."""
    found = wilson(good, seen)
    assert found is not None
    assert found[0] == pytest.approx(low, abs=5e-5)
    assert found[1] == pytest.approx(high, abs=5e-5)


def test_nothing_seen_has_no_interval() -> None:
    assert wilson(0, 0) is None


def test_a_sample_stands_for_the_whole() -> None:
    def result(name: str, checked: int, good: int, **fields: float) -> Result:
        made = Rule.model_validate(rule(name, "filled", column="c", **fields))
        return Result(made, Count(rule=name, status="counted", checked=checked, good=good))

    half = result("a.a", 100, 50, sample=0.1)
    value, elements = score([half, result("b.b", 1000, 1000)])
    assert value == pytest.approx(0.75)
    assert elements == 1100
