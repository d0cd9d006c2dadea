"""Rules that compare the CRM with a second source, and what they say when it says nothing."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crmops.record import Verdict
from dq_checks.references import Reference
from dq_checks.scratch import scratch
from dq_checks.suite import Suite
from tests.dq_checks.support import Auditor, Database, rule, suite

LISTED = rule("people.listed", "listed", column="code", reference="registry", field="统一代码")
SAME = rule("people.same", "same", column="phone", reference="erp", by="id", field_by="crm_id")
AMOUNT = rule("people.amount", "same", column="amount", reference="erp", by="id", field_by="crm_id")
SUITE = suite(LISTED, SAME, AMOUNT, owner_column="owner", source_column="origin")
CREATE = (
    "create table people (id bigint primary key, code text, phone text, amount numeric,"
    " owner bigint, origin text)"
)
ROWS = (
    "insert into people values (1, 'A1', '111', 10.5, 1, 'web'), (2, ' A2 ', '222', 20, 1, 'web'),"
    " (3, 'a1', '333', 30, 2, 'fair'), (4, '', '444', null, 2, null), (5, null, null, 50, 2, null)"
)
REGISTRY = "统一代码,name\nA1,One\nA2,Two\n,Nobody\nA1,Again\n"
ERP = "crm_id,phone,amount\n1,111,10.50\n2, 222,21\n3,334,n/a\n4,,1\n9,999,9\n"
FOUND = {
    "people.listed": (2, 3),  # a1 is not A1, and what is missing is in no list
    "people.same": (2, 3),  # what either side lacks cannot be compared
    "people.amount": (1, 3),  # 10.5 is 10.50
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "registry.csv").write_text(REGISTRY, encoding="gb18030")
    (tmp_path / "erp.csv").write_text(ERP)
    return {
        "references": {
            "registry": Reference(file=tmp_path / "registry.csv"),
            "erp": Reference(file=tmp_path / "erp.csv"),
        }
    }


@pytest.fixture(params=["postgresql", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The table of people on either engine, and its address."""
    if request.param == "postgresql":
        database: Database = request.getfixturevalue("database")
        database.do(CREATE, ROWS)
        return database.auditor
    path = tmp_path / "people.db"
    with closing(sqlite3.connect(path)) as lite:
        lite.execute(CREATE)
        lite.execute(ROWS)
        lite.commit()
    return f"sqlite:///{path}"


def counted(auditor: Auditor, run: Any) -> dict[str, tuple[int, int]]:
    return {name: (each["A"], each["B"]) for name, each in auditor.rules(run).items()}


def test_a_list_and_another_system(auditor: Auditor, place: str, files: dict[str, Any]) -> None:
    run = auditor.run(place, SUITE, **files)
    assert counted(auditor, run) == FOUND
    assert auditor.listed(run) == {
        "people.listed": {"3"}, "people.same": {"3"}, "people.amount": {"2", "3"},
    }  # fmt: skip
    text = auditor.file(run, "groups.csv")
    groups = {
        (each["by"], each["group"]): (int(each["bad"]), int(each["elements"]))
        for each in csv.DictReader(io.StringIO(text))
        if each["dimension"] == "overall"
    }
    assert groups == {
        ("owner", "1"): (1, 6), ("owner", "2"): (3, 3),
        ("source", "web"): (1, 6), ("source", "fair"): (3, 3), ("source", "(none)"): (0, 0),
    }  # fmt: skip


def test_letter_case_when_it_does_not_count(
    auditor: Auditor, place: str, files: dict[str, Any]
) -> None:
    lenient = suite({**LISTED, "ignore_case": True})
    assert counted(auditor, auditor.run(place, lenient, **files)) == {"people.listed": (3, 3)}


def test_a_query_of_another_database(auditor: Auditor, database: Database, tmp_path: Path) -> None:
    database.do(CREATE, ROWS, "create table erp (k int, phone text)")
    database.do("insert into erp values (1, '111'), (2, '9')")
    reference = Reference.model_validate(
        {"database": database.auditor, "query": "select k as crm_id, phone from erp;"}
    )
    run = auditor.run(database.auditor, suite(SAME), references={"erp": reference})
    assert counted(auditor, run) == {"people.same": (1, 2)}
    assert run.verdict is Verdict.FAIL


def test_a_file_is_compared_before_it_is_loaded(
    auditor: Auditor, files: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "import.csv"
    path.write_text("id,code,phone,amount\n1,A1,111,10.5\n2,B7,222,20\n3,,334,30\n")
    with scratch(path, SUITE, ()) as made:
        run = auditor.run(made.url, made.suite, **files)
    # nothing in the file says that an amount is a number
    assert counted(auditor, run) == {
        "people.listed": (1, 2), "people.same": (3, 3), "people.amount": (0, 3),
    }  # fmt: skip


def missing(path: Path) -> list[tuple[str, dict[str, Any], str]]:
    old, empty, torn = path / "old.csv", path / "empty.csv", path / "torn.csv"
    old.write_text(REGISTRY)
    os.utime(old, (time.time() - 90_000,) * 2)
    empty.write_text("统一代码\n")
    torn.write_text('统一代码\n"A1\n')
    lite = {"database": f"sqlite:///{path / 'none.db'}", "query": "select 1"}
    nobody = {"database": "postgresql://x@127.0.0.1:1/erp", "query": "select 1"}
    return [
        ("unnamed", {}, "dq.references has no registry"),
        ("no file", {"file": path / "no.csv"}, "no.csv cannot be read: no such file or directory"),
        ("old", {"file": old, "max_age": 3600},
         "old.csv is 25 h 00 min old, 1 h 00 min are allowed"),
        ("no rows", {"file": empty}, "reference registry holds nothing"),
        ("torn", {"file": torn}, "torn.csv:2: unexpected end of data"),
        ("no column", {"file": path / "erp.csv"},
         "there is no column '统一代码', but: crm_id, phone, amount"),
        ("no database", lite, "there is no such database file"),
        ("nobody there", nobody, "nobody answers at the database's address"),
    ]  # fmt: skip


def test_a_second_source_that_says_nothing_is_unknown(
    auditor: Auditor, database: Database, files: dict[str, Any], tmp_path: Path
) -> None:
    database.do(CREATE, ROWS)
    lenient = suite({**LISTED, "optional": True}, {**SAME, "threshold": 0.1})
    for name, given, reason in missing(tmp_path):
        references = {"erp": files["references"]["erp"]}
        if given:
            references["registry"] = Reference.model_validate(given)
        run = auditor.run(database.auditor, lenient, references=references, objectives=())
        whole = reason if "registry" in reason else f"reference registry: {reason}"
        said = f"1 rules had nothing to compare with: people.listed: {whole}"
        assert (run.verdict, run.reason) == (Verdict.UNKNOWN, said), name
        assert (auditor.rules(run)["people.listed"]["status"], whole) == (
            "unknown", auditor.rules(run)["people.listed"]["reason"],
        )  # fmt: skip
        score = run.measure("rule.score{people.listed}")
        assert score is not None and score.value is None
        assert [each.title for each in run.findings if each.severity == "warning"] == [
            "a rule had nothing to compare with: the rule people.listed"
        ]


def test_a_fail_elsewhere_remains_a_fail(auditor: Auditor, database: Database) -> None:
    database.do(CREATE, ROWS)
    both: Suite = suite(LISTED, rule("people.phone", "filled", column="phone"))
    assert auditor.run(database.auditor, both).verdict is Verdict.FAIL


def test_what_cannot_be_compared_is_an_error(auditor: Auditor, database: Database) -> None:
    database.do("create table people (id bigint primary key, code timestamptz)")
    database.do("insert into people values (1, now())")
    run = auditor.run(database.auditor, suite(LISTED))
    assert run.verdict is Verdict.ERROR
    assert run.reason.endswith("column code holds a time; text, numbers and dates are compared")
