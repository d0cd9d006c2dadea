"""Decisions that come back in worklists, and what they change."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
import xlsxwriter

from crmops.cli import run as crmops
from crmops.errors import CannotRun, UsageError
from crmops.record import utc_now
from dq_checks.decisions import Decision, Decisions, read_file
from tests.dq_checks.support import Database, rule, suite
from tests.dq_checks.test_cli import SUITE

PEOPLE = suite(rule("people.name", "filled", column="name"))
HEAD = "suite,rule,record,decision,reason,decided_by\n"


@pytest.fixture
def place(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration and a database of ten people, four nameless."""
    for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(name)
    database.do(
        "create table people (id bigint, name text, owner_id int default 7)",
        "insert into people select i - 3, case when i > 4 then 'a' end"
        " from generate_series(1, 10) i",
    )
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "people.yaml").write_text(SUITE)
    (tmp_path / "crmops.yaml").write_text(
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:1\n"
        "    database:\n      url: env:AUDIT_URL\n"
        "dq:\n  suites: [people]\n  suite_directories: [suites]\n"
    )
    monkeypatch.setenv("AUDIT_URL", database.auditor)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def _filled_in(path: Path, rows: list[dict[str, str]]) -> None:
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    for at, name in enumerate(rows[0]):
        sheet.write_string(0, at, name)
        for number, row in enumerate(rows, 1):
            sheet.write_string(number, at, row[name])
    book.close()


def test_what_was_decided_is_not_asked_again(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str, code: int = 0) -> dict[str, object]:
        assert crmops([*arguments, "--json"]) == code
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    said("dq", "run", code=1)
    assert said("dq", "worklist", "people", "--out", "a.csv")["tasks"] == 4
    rows = _rows(place / "a.csv")
    assert [each["record"] for each in rows] == ["'-2", "'-1", "0", "1"]
    for row, word in zip(rows, ("wontfix", "Wrong-Rule", "fixed", ""), strict=True):
        row.update(decision=word, reason="because" if word else "", decided_by="Li Na")
    _filled_in(place / "back.xlsx", rows)
    assert said("dq", "decide", "back.xlsx") == {
        "schema": 1, "file": "back.xlsx", "new": 3, "known": 0, "open": 1,
    }  # fmt: skip
    again = said("dq", "decide", "back.xlsx")
    assert (again["new"], again["known"]) == (0, 3)
    handed = said("dq", "worklist", "people", "--out", "b.csv")
    assert (handed["tasks"], handed["settled"]) == (1, 3)
    audited = said("dq", "run", code=1)
    shown = {each["title"]: each["severity"] for each in audited["runs"][0]["findings"]}  # type: ignore[index]
    assert shown["people say that a rule is wrong: A person has a name"] == "info"
    assert shown["said to be fixed and still bad: A person has a name"] == "warning"
    handed = said("dq", "worklist", "people", "--out", "c.csv")
    assert (handed["tasks"], handed["settled"]) == (2, 2)
    before = {each["record"]: each["before"] for each in _rows(place / "c.csv")}
    assert before == {"0": f"said to be fixed on {utc_now():%Y-%m-%d} by Li Na", "1": ""}
    assert said("dq", "worklist", "people", "--out", "d.csv", "--all")["tasks"] == 4


BAD = [
    ("suite,rule,record,decision\n", "has no column 'reason'"),
    (HEAD + "people,people.name,1,wontfx,x,\n", "data row 1: 'wontfx' is no decision"),
    (HEAD + "people,people.nam,1,fixed,x,\n", "suite 'people' has no rule 'people.nam'"),
    (HEAD + "folk,people.name,1,fixed,x,\n", "suite 'folk' has no rule 'people.name'"),
    (HEAD + "people,people.name,,fixed,x,\n", "data row 1: no record is named"),
    (HEAD + "people,people.name,1,fixed, ,\n", "data row 1: a decision needs a reason"),
    (
        HEAD + "people,people.name,1,fixed,x,\npeople,people.name,1,wontfix,x,\n",
        "data row 2 decides otherwise than a row before",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "back.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_file(path, "crm", {"people": PEOPLE}, utc_now())


def test_the_newest_decision_holds_and_a_bad_file_is_named(tmp_path: Path) -> None:
    kept = Decisions(tmp_path)

    def decide(word: str, record: str = "1") -> int:
        made = {
            "target": "crm", "suite": "people", "rule": "people.name", "record": record,
            "decision": word, "reason": "x", "at": utc_now(),
        }  # fmt: skip
        return kept.add([Decision.model_validate(made)])

    assert kept.read() == ()
    assert [decide("fixed"), decide("fixed"), decide("wontfix"), decide("fixed", "2")] == [
        1, 0, 1, 1,
    ]  # fmt: skip
    assert {each.record: each.decision for each in kept.read()} == {"1": "wontfix", "2": "fixed"}
    kept.path.write_text(kept.path.read_text() + "torn\n")
    with pytest.raises(CannotRun, match=r"decisions\.jsonl:3: no decision"):
        kept.read()
