"""Random tables: what is the same passes, one change is found and named, nothing is no pass."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmops.history import open_history
from crmops.record import Verdict
from tests.dq_migration.support import (
    Migrator,
    Row,
    counts,
    write_csv,
    write_parquet,
    write_table,
)

COLUMNS = ("id", "name", "amount", "born", "seen", "active")
TYPES = {
    "id": "text", "name": "text", "amount": "numeric", "born": "date", "seen": "timestamptz",
    "active": "boolean",
}  # fmt: skip
PLAN: dict[str, Any] = {
    "key": [{"name": "id"}],
    "fields": [
        {"name": "name"},
        {"name": "amount", "type": "decimal", "scale": 2},
        {"name": "born", "type": "date"},
        {"name": "seen", "type": "timestamp"},
        {"name": "active", "type": "boolean"},
    ],
}
TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "-", "0:", "1:a", "!", "a,b", 'a"b', "a\nb", "=1+1", "\\N", "NULL"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8),
)
ROWS = st.tuples(
    st.one_of(TEXTS, st.integers(0, 9).map(str)),
    TEXTS,
    st.none() | st.decimals(-(10**12), 10**12, places=2),
    st.none() | st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.none() | st.booleans(),
)
TABLES = st.lists(ROWS, min_size=1, max_size=12)
KINDS = st.sampled_from(["csv", "parquet", "table"])
PLANS = st.tuples(KINDS, KINDS, st.integers(0, 99))
"""What the source is, what the target is, and how the target is shuffled."""
LIGHT = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Three:
    """The same table as CSV, as Parquet and in PostgreSQL; one of them is the other side."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory, self.url = directory, url

    def side(self, kind: str, label: str, rows: list[Row]) -> dict[str, str]:
        if kind == "table":
            write_table(self.url, label, TYPES, rows)
            return {"database": self.url, "table": label}
        if kind == "parquet":
            typed = [
                (*row[:2], None if row[2] is None else Decimal(row[2]), *row[3:]) for row in rows
            ]
            write_parquet(self.directory / f"{label}.parquet", COLUMNS, typed)
            return {"file": f"{label}.parquet"}
        write_csv(self.directory / f"{label}.csv", COLUMNS, rows)
        return {"file": f"{label}.csv"}


def changed(row: Row, at: int) -> Row:
    """A row with one value changed, into null or out of it, or by the least that counts."""
    value = row[at]
    new: Any
    if at == 1:
        new = "" if value is None else value + " "
    elif value is None:
        new = (
            None,
            None,
            Decimal("0.01"),
            date(2000, 2, 29),
            datetime(2000, 1, 1, tzinfo=UTC),
            False,
        )[at]
    elif at == 2:
        new = value + Decimal("0.01")
    elif at == 3:
        new = value + timedelta(days=1)
    elif at == 4:
        new = value + timedelta(microseconds=1)
    else:
        new = not value
    return (*row[:at], new, *row[at + 1 :])


@LIGHT
@given(rows=TABLES, plan=PLANS)
def test_the_same_rows_in_any_order_pass(
    tmp_path: Path, database: str, rows: list[Row], plan: tuple[str, str, int]
) -> None:
    ours, theirs, seed = plan
    run = _run(tmp_path, database, (ours, rows), (theirs, _shuffled(rows, seed)))[0]
    assert (run.verdict, run.reason) == (
        Verdict.PASS,
        f"{len(rows)} rows arrived as they were sent",
    )
    assert counts(run)["rows.source"] == counts(run)["rows.target"] == len(rows)


@LIGHT
@given(
    rows=TABLES,
    plan=PLANS,
    how=st.sampled_from(["lost", "twice", 1, 2, 3, 4, 5]),
    which=st.integers(0, 99),
)
def test_one_planted_change_is_found_and_named(
    tmp_path: Path,
    database: str,
    rows: list[Row],
    plan: tuple[str, str, int],
    how: Any,
    which: int,
) -> None:
    ours, theirs, seed = plan
    at = which % len(rows)
    row = rows[at]
    if how == "lost":
        other, kind = rows[:at] + rows[at + 1 :], "missing"
    elif how == "twice":
        other, kind = [*rows, row], "extra"
    else:
        other, kind = [*rows[:at], changed(row, how), *rows[at + 1 :]], "different"
    run, migrator = _run(tmp_path, database, (ours, rows), (theirs, _shuffled(other, seed)))
    assert run.verdict is Verdict.FAIL
    key = _shown(row[0])
    assert migrator.listed(run) == {(kind, key)}
    same_key = Counter(each[0] for each in rows)[row[0]]
    expected = same_key if kind == "different" else 1
    assert counts(run)[f"rows.{kind}"] == expected
    if kind == "different" and same_key == 1:
        assert [each.title for each in run.findings if each.title.startswith("field")] == [
            f"field {COLUMNS[how]} differs"
        ]


def _shown(key: str | None) -> str:
    text = key or ""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _shuffled(rows: list[Row], seed: int) -> list[Row]:
    return random.Random(seed).sample(rows, len(rows))


def _run(
    tmp_path: Path, url: str, ours: tuple[str, list[Row]], theirs: tuple[str, list[Row]]
) -> tuple[Any, Migrator]:
    made = Three(tmp_path, url)
    history = open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")
    try:
        migrator = Migrator(history, tmp_path)
        source = made.side(ours[0], "source", ours[1])
        target = made.side(theirs[0], "target", theirs[1])
        run = migrator.run(source=source, target=target, **PLAN)
        return run, migrator
    finally:
        history.close()
