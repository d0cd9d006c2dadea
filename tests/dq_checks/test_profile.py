"""Profiles of columns: what they tell, and that they quote nobody."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from crmops.record import Run, Verdict
from dq_checks.profile import profile_suites
from dq_checks.run import Audit
from dq_checks.settings import Settings
from tests.dq_checks.support import Auditor, Database, rule, suite

STAGE = rule("p.stage", "one_of", column="stage", values=["new", "won"])
PEOPLE = suite(STAGE)
TABLE = "create table people (id int, name text, stage text, amount numeric, birth_date date)"
ROWS = [
    (1, "Li.Na-Planted@x.cn", "new", 5, "1971-02-03"),
    (2, "\u674e\u5a1c 42", "new", 7, "1980-01-01"),
    (3, " ", "Planted-Stage", None, None),
    (4, None, None, 7, None),
]


def _profile(auditor: Auditor, url: str, share: float = 1.0, **settings: Any) -> Run:
    audit = Audit("crm", url, Settings(**settings), auditor.history)
    return profile_suites(audit, [PEOPLE], share)[0]


def _columns(auditor: Auditor, run: Run) -> dict[str, dict[str, Any]]:
    document = json.loads(auditor.file(run, "profile.json"))
    return {each["name"]: each for each in document["columns"]}


def _fill(database: Database) -> None:
    values = [
        "(" + ", ".join("null" if each is None else f"'{each}'" for each in row) + ")"
        for row in ROWS
    ]
    database.do(TABLE, f"insert into people values {', '.join(values)}")


def test_a_profile_describes_and_quotes_nobody(auditor: Auditor, database: Database) -> None:
    _fill(database)
    run = _profile(auditor, database.auditor)
    assert (run.subject, run.verdict) == ("profile.people", Verdict.PASS)
    found = _columns(auditor, run)
    name, stage, amount, born = (found[each] for each in ("name", "stage", "amount", "birth_date"))
    assert (name["missing"], name["distinct"], name["least"], name["greatest"]) == (2, 2, "1", "18")
    assert name["shapes"] == [["Aa.Aa-Aa+@a.a+", 1], ["\u6587+ 9+", 1]]
    assert (stage["values"], stage["shapes"]) == ([["new", 2], ["(other)", 1]], [])
    assert (amount["least"], amount["greatest"], amount["distinct"]) == ("5", "7", 2)
    assert (born["missing"], born["least"], born["greatest"]) == (2, None, None)
    missing = run.measure("column.missing{name}")
    assert missing is not None and (missing.value, missing.observed) == (0.5, 4)
    text = auditor.file(run, "profile.json") + json.dumps(run.dump(), default=str)
    assert [each for each in ("Planted", "1971", "\u674e") if each in text] == []


def test_both_engines_describe_alike(auditor: Auditor, database: Database, tmp_path: Path) -> None:
    _fill(database)
    path = tmp_path / "people.db"
    with sqlite3.connect(path) as connection:
        connection.execute(TABLE)
        connection.executemany("insert into people values (?, ?, ?, ?, ?)", ROWS)
    one = _columns(auditor, _profile(auditor, database.auditor))
    two = _columns(auditor, _profile(auditor, f"sqlite:///{path}", pace="gentle"))
    for name in ("name", "stage"):
        assert one[name] == two[name]


def test_nothing_to_profile(auditor: Auditor, database: Database) -> None:
    missing = _profile(auditor, database.auditor)
    assert (missing.verdict, missing.reason) == (Verdict.ERROR, "table people is missing")
    database.do("create table people (id int, note json)")
    empty = _profile(auditor, database.auditor)
    assert (empty.verdict, empty.reason) == (Verdict.UNKNOWN, "table people is empty")
    database.do("insert into people select i, null from generate_series(1, 1000) i")
    run = _profile(auditor, database.auditor, share=0.2)
    assert run.verdict is Verdict.PASS
    rows = run.measure("profile.rows")
    assert rows is not None and rows.value is not None and 120 < rows.value < 280
    assert [(each.title, each.subject) for each in run.findings] == [("a column is empty", "note")]


def test_a_column_that_cannot_be_read_is_named(auditor: Auditor, database: Database) -> None:
    database.do(
        "create function fussy(i int) returns int language plpgsql stable as $$ begin"
        " if current_query() ilike '%distinct%' then raise exception 'Planted'; end if;"
        " return i; end $$",
        "create view people as select i as id, fussy(i) as x from generate_series(1, 9) i",
    )
    run = _profile(auditor, database.auditor)
    assert (run.verdict, run.reason) == (Verdict.FAIL, "columns.failed is 1, not == 0")
    assert [(each.title, each.detail, each.subject) for each in run.findings] == [
        ("a column has no profile", "the database refused it (SQLSTATE P0001)", "x")
    ]
