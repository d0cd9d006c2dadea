"""Incremental audits: whatever was edited, they say what a full audit says, and look at less."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dq_checks.client import AuditWorker
from dq_checks.ledgers import Ledgers
from dq_checks.messages import Audited, Job, Ledger
from dq_checks.suite import Suite
from tests.dq_checks.support import Auditor, Database, rule, suite

WIDTH = 8
RULES = (
    rule("people.name", "filled", column="name"),
    rule("people.mobile", "format", column="mobile", format="mobile"),
    rule("people.one", "unique", columns=["mobile"]),
    rule("people.both", "unique", columns=["name", "mobile"], ignore_case=True),
    rule("people.firm", "reference", column="firm", table="firms"),
    rule("people.fresh", "fresh", column="at", days=100),
    rule("people.sql", "sql", good="length(name) > 1", applies="name is not null"),
    rule("people.some", "one_of", column="name", values=["Li", "Wu"], sample=0.5),
)
SUITE = suite(*RULES, owner_column="owner", region_column="region", changed_by=["version"])
TABLES = (
    "create table firms (id bigint primary key)",
    "insert into firms values (1), (2), (3)",
    "create table people (id bigint primary key, name text, mobile text, firm bigint, at date,"
    " owner bigint, region text, version bigint)",
)
NAMES = st.sampled_from([None, "", " ", "Li", "li", "Wu", "王", "x"])
MOBILES = st.sampled_from([None, "", "13800000001", "13800000002", "138"])
ROW = st.tuples(
    NAMES, MOBILES, st.sampled_from([None, 1, 2, 9]),
    st.sampled_from(["2026-01-01", "2024-01-01", None]), st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "East", ""]),
)  # fmt: skip
IDS = st.integers(-20, 45)
EDITS = st.one_of(
    st.tuples(st.just("put"), IDS, ROW),
    st.tuples(st.just("delete"), IDS, ROW),
    st.tuples(st.just("firms"), st.integers(1, 12), ROW),
)
BATCHES = st.lists(st.lists(EDITS, max_size=6), min_size=2, max_size=3)
START = st.dictionaries(IDS, ROW, max_size=40)
Do = Callable[[str, tuple[Any, ...]], object]


def job(url: str, wanted: Suite, ledger: Ledger | None, **more: Any) -> Job:
    return Job(
        id=1, url=url, suite=wanted, country="CN", as_of=datetime(2026, 3, 1, tzinfo=UTC),
        statement_timeout=60, worklist="all", worklist_rows=1000, groups=True,
        slice_rows=WIDTH, ledger=ledger, **more,
    )  # fmt: skip


def audited(worker: AuditWorker, wanted: Job) -> Audited:
    return worker.run(wanted, lambda _: None, 120)


def same(one: Audited, two: Audited) -> None:
    def bare(found: Audited) -> dict[str, Any]:
        known = found.model_dump(exclude={"seconds", "ledger", "slices", "slices_anew"})
        known["shares"] = sorted(map(repr, known["shares"]))
        known["issues"] = sorted(map(repr, known["issues"]))
        return known

    assert bare(one) == bare(two)


def apply(do: Do, edits: list[Any], version: int) -> None:
    for what, key, row in edits:
        if what == "firms":
            do("delete from firms where id = %s", (key,))
            continue
        do("delete from people where id = %s", (key,))
        if what == "put":
            do("insert into people values (%s, %s, %s, %s, %s, %s, %s, %s)", (key, *row, version))


@contextmanager
def writing(url: str) -> Iterator[Do]:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as lite:
            yield lambda text, values: lite.execute(text.replace("%s", "?"), values)
            lite.commit()
        return
    with psycopg.connect(url) as connection:
        yield connection.execute


def follows(worker: AuditWorker, owner: str, auditor: str, wanted: Suite, data: Any) -> None:
    """An incremental audit after every batch of edits says what a full one says."""
    start, batches = data
    with writing(owner) as do:
        for table in ("people", "firms"):
            do(f"drop table if exists {table}", ())
        for each in TABLES:
            do(each, ())
        apply(do, [("put", key, row) for key, row in start.items()], 0)
    ledger = Ledger()
    for number, edits in enumerate([[], *batches], 1):
        with writing(owner) as do:
            apply(do, edits, number)
        found = audited(worker, job(auditor, wanted, ledger))
        assert found.ledger is not None and found.slices is not None
        same(found, audited(worker, job(auditor, wanted, None)))
        assert edits or number == 1 or found.slices_anew == 0
        ledger = found.ledger


CALM = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to shrink takes minutes when each try is an audit
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@CALM
@given(st.tuples(START, BATCHES))
def test_on_postgresql(worker: AuditWorker, database: Database, data: Any) -> None:
    # PostgreSQL knows its row versions; no column need tell
    plain = SUITE.model_copy(update={"changed_by": ()})
    follows(worker, database.owner, database.auditor, plain, data)


@CALM
@given(st.tuples(START, BATCHES))
def test_on_sqlite(worker: AuditWorker, tmp_path: Path, data: Any) -> None:
    url = f"sqlite:///{tmp_path / 'people.db'}"
    follows(worker, url, url, SUITE, data)


def fill(database: Database, rows: int = 40) -> None:
    database.do(
        *TABLES,
        "insert into people select i, 'Li', '13800000' || (100 + i), 1, '2026-01-01', i % 3,"
        f" 'East', 0 from generate_series(0, {rows - 1}) i",
    )


PLAIN = SUITE.model_copy(update={"changed_by": ()})


def test_only_what_changed_is_counted(worker: AuditWorker, database: Database) -> None:
    fill(database)
    first = audited(worker, job(database.auditor, PLAIN, Ledger()))
    assert (first.slices, first.slices_anew) == (5, 5)
    second = audited(worker, job(database.auditor, PLAIN, first.ledger))
    assert (second.slices, second.slices_anew) == (5, 0)
    # an edit that nobody wrote into a column of its own
    database.do("update people set name = '' where id = 17", "delete from people where id = 39")
    third = audited(worker, job(database.auditor, PLAIN, second.ledger))
    assert (third.slices, third.slices_anew) == (5, 2)
    assert {each.rule: each.checked - each.good for each in third.counts}["people.name"] == 1


@pytest.mark.parametrize(
    "change",
    [
        "alter table people drop column region, add column region text default 'West'",
        "alter table people rename to old; create table people as table old;"
        " alter table people add primary key (id); grant select on people to crm_audit",
    ],
)
def test_another_table_of_that_name_is_counted_in_full(
    worker: AuditWorker, database: Database, change: str
) -> None:
    fill(database)
    first = audited(worker, job(database.auditor, PLAIN, Ledger()))
    database.do(*change.split(";"))
    second = audited(worker, job(database.auditor, PLAIN, first.ledger))
    assert second.slices_anew == 5
    same(second, audited(worker, job(database.auditor, PLAIN, None)))


def test_a_view_tells_nobody_what_changed(worker: AuditWorker, database: Database) -> None:
    fill(database)
    database.do("create view persons as select * from people")
    view = PLAIN.model_copy(update={"table": "persons"})
    found = audited(worker, job(database.auditor, view, Ledger()))
    assert (found.slices, found.ledger) == (None, None)
    assert found.notes == (
        "everything was counted: nobody says what changed; name columns in changed_by of the suite",
    )
    told = view.model_copy(update={"changed_by": ("version",)})
    first = audited(worker, job(database.auditor, told, Ledger()))
    again = audited(worker, job(database.auditor, told, first.ledger))
    assert (again.slices, again.slices_anew) == (1, 0)


def test_ledgers_lie_beside_the_history(
    auditor: Auditor, database: Database, tmp_path: Path
) -> None:
    fill(database)
    ledgers = Ledgers(tmp_path)
    shares = []
    for _ in range(2):
        run = auditor.run(database.auditor, PLAIN, ledgers=ledgers, slice_rows=8)
        measure = run.measure("audit.counted_anew")
        assert measure is not None and measure.observed == 5
        shares.append(measure.value)
    assert shares == [1.0, 0.0]
    (path,) = (tmp_path / "dq" / "ledgers").iterdir()
    path.write_text("{")
    assert ledgers.read("crm", "people") == Ledger()
    plain = auditor.run(database.auditor, PLAIN)
    assert plain.measure("audit.counted_anew") is None


def test_a_gentle_audit_counts_the_same_in_short_statements(
    worker: AuditWorker, database: Database
) -> None:
    fill(database)
    database.do("update people set mobile = '13800000100' where id % 7 = 0")
    wanted = job(database.auditor, PLAIN, None, duty=0.5).model_copy(update={"slice_rows": 1})
    gentle = audited(worker, wanted)  # 40 slices, hence two pieces of the keys
    assert gentle.slices is None
    assert {each.rule: each.checked - each.good for each in gentle.counts}["people.one"] == 6
    same(gentle, audited(worker, job(database.auditor, PLAIN, None)))
