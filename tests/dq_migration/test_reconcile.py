"""Reconciliation: each class, tolerances, windows, maps, and the worklist."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmops.history import History, open_history
from crmops.record import Run, Verdict
from dq_checks.migration.plan import read_plan
from dq_checks.reconcile.match import CLASSES
from dq_checks.reconcile.plan import Agreement, ReconcilePlan
from dq_checks.reconcile.run import GUIDE, Task, reconcile
from tests.dq_migration.support import Row, counts, write_csv, write_table

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OLD, FRESH, LATE = "2026-05-01T00:00:00Z", "2026-06-01T11:59:00Z", "2026-06-01T11:30:00Z"
COLUMNS = ("number", "amount", "status", "owner", "at")
PLAN = """
name: orders
crm: {file: crm.csv, moment: at}
other: {name: ERP, %s, moment: at}
key: [{name: number}]
agree:
  - {name: amount, crm: amount, other: amount, type: amount, absolute: 0.05, relative: 0.001}
  - {name: status, crm: status, other: status, map: {won: BILLED, lost: CANCELLED}}
owner: owner
in_flight: 5m
late: 1h
"""


class Reconciler:
    """Writes both systems as CSV, reconciles and reads the worklist."""

    def __init__(self, history: History, directory: Path) -> None:
        self.history, self.directory = history, directory

    def run(self, crm: list[Row], erp: list[Row], other: str = "file: erp.csv") -> Run:
        write_csv(self.directory / "crm.csv", COLUMNS, crm)
        write_csv(self.directory / "erp.csv", COLUMNS, erp)
        path = self.directory / "plan.yaml"
        path.write_text(PLAN % other, encoding="utf-8")
        loaded = read_plan(path, ReconcilePlan, GUIDE)
        return reconcile(Task(loaded, "crm", self.history, str, NOW))

    def lines(self, run: Run) -> list[list[str]]:
        found = [each for each in run.evidence if each.path.endswith("/worklist.csv")]
        if not found:
            return []
        text = self.history.files.path(found[0]).read_bytes()
        assert text.startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))
        assert rows[0] == ["class", "number", "owner", "fields", "what"]
        return [row[:4] for row in rows[1:]]


@pytest.fixture
def reconciler(history: History, tmp_path: Path) -> Reconciler:
    return Reconciler(history, tmp_path)


def order(number: str | None, amount: str = "100", status: str = "won", at: str = OLD) -> Row:
    return (number, amount, status, "7", at)


def erp(number: str | None, amount: str = "100", status: str = "BILLED", at: str = OLD) -> Row:
    return (number, amount, status, None, at)


def test_every_class_is_told_apart(reconciler: Reconciler) -> None:
    run = reconciler.run(
        [
            order("A1"), order("A2"), order("A3", "100.00"), order("A4", "100"), order("A5"),
            order("A6", at=FRESH), order("A7", at=LATE), order("A8"), order("A8"), order(None),
            order("=A9"),
        ],
        [
            erp("A1"), erp("A3", "100.2"), erp("A4", "100.05"), erp("A5", status="CANCELLED"),
            erp("B1"), erp("A8"), erp(""),
        ],
    )  # fmt: skip
    assert reconciler.lines(run) == [
        ["lost", "A2", "7", ""],
        ["lost", "'=A9", "7", ""],
        ["extra", "B1", "", ""],
        ["late", "A7", "7", ""],
        ["different", "A3", "7", "amount"],
        ["different", "A5", "7", "status"],
        ["in flight", "A6", "7", ""],
        ["duplicated", "A8", "7", ""],
    ]
    assert run.verdict is Verdict.FAIL
    assert run.subject == "reconcile:orders"
    assert counts(run) == {
        "rows.crm": 11, "rows.other": 7, "rows.agreeing": 2, "rows.lost": 2, "rows.extra": 1,
        "rows.late": 1, "rows.different": 2, "rows.in_flight": 1, "rows.keyless": 2,
        "keys.duplicated": 1, "values.unmapped": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs", "agrees"),
    [
        ("100", "100.05", True),
        ("100", "100.11", False),
        ("1000", "1001", True),
        ("1000", "1001.1", False),
        ("0", "0.05", True),
        ("-100", "-100.05", True),
        ("-100", "100", False),
        ("", "0", False),
        ("", "", True),
        ("n/a", "n/a", True),
        ("n/a", "0", False),
    ],
)
def test_tolerances(reconciler: Reconciler, ours: str, theirs: str, agrees: bool) -> None:
    run = reconciler.run([order("1", ours)], [erp("1", theirs)])
    assert run.verdict is (Verdict.PASS if agrees else Verdict.FAIL)


def test_the_future_excuses_nothing(reconciler: Reconciler) -> None:
    run = reconciler.run([order("1"), order("2", at="2030-01-01T00:00:00Z")], [erp("1")])
    assert reconciler.lines(run) == [["lost", "2", "7", ""]]


def test_a_value_that_the_map_lacks_is_said(reconciler: Reconciler) -> None:
    run = reconciler.run([order("1", status="open")], [erp("1")])
    assert counts(run)["values.unmapped"] == 1
    assert "status has values that its map lacks" in [each.title for each in run.findings]


@pytest.mark.parametrize(
    ("crm", "other", "verdict", "reason"),
    [
        ([], [], Verdict.UNKNOWN, "both systems are empty"),
        ([order("1")], [], Verdict.FAIL, "ERP is empty; rows.lost is 1, not <= 0"),
        ([], [erp("1")], Verdict.FAIL, "CRM is empty; rows.extra is 1, not <= 0"),
        ([order("1")], [erp("1")], Verdict.PASS, "1 of 1 settled records agree"),
    ],
)
def test_nothing_is_no_good_news(
    reconciler: Reconciler, crm: list[Row], other: list[Row], verdict: Verdict, reason: str
) -> None:
    run = reconciler.run(crm, other)
    assert (run.verdict, run.reason) == (verdict, reason)


def test_all_in_flight_is_unknown(reconciler: Reconciler) -> None:
    run = reconciler.run([order("1", at=FRESH)], [])
    assert run.verdict is Verdict.UNKNOWN


def test_against_a_database(reconciler: Reconciler, database: str) -> None:
    types = {"number": "text", "amount": "numeric", "status": "text", "owner": "bigint",
             "at": "timestamptz"}  # fmt: skip
    write_table(database, "erp", types, [erp("1"), erp("2", "5")])
    run = reconciler.run([order("1"), order("2")], [], f"database: '{database}', table: erp")
    assert reconciler.lines(run) == [["different", "2", "7", "amount"]]


KEYS = st.lists(
    st.text("ab客=1 \"',\n", min_size=1, max_size=4), unique=True, min_size=1, max_size=8
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    keys=KEYS, planted=st.sampled_from(["lost", "extra", "different", None]), which=st.integers(0)
)
def test_one_planted_change_is_found(
    tmp_path: Path, keys: list[str], planted: Any, which: int
) -> None:
    history = open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")
    reconciler = Reconciler(history, tmp_path)
    amounts = {each: str(Decimal(at) / 7) for at, each in enumerate(keys)}
    crm = [order(each, amounts[each]) for each in keys]
    other = [erp(each, amounts[each]) for each in reversed(keys)]
    at = which % len(keys)
    if planted == "lost":
        other.pop(len(keys) - 1 - at)
    elif planted == "extra":
        crm.pop(at)
    elif planted == "different":
        crm[at] = order(keys[at], "9999.5")
    run = reconciler.run(crm, other)
    shown = f"'{keys[at]}" if keys[at].startswith("=") else keys[at]
    assert [row[:2] for row in reconciler.lines(run)] == ([[planted, shown]] if planted else [])
    assert (run.verdict is Verdict.PASS) is (planted is None)
    history.close()


def test_documentation_names_every_key() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/reconcile.md").read_text("utf-8")
    for model in (ReconcilePlan, Agreement):
        for name in model.model_fields:
            assert f"`{name}`" in page, (model.__name__, name)
    for kind in CLASSES:
        assert kind in page
