"""Scores by owner, team and region are the same sums, grouped."""

from __future__ import annotations

import csv
import io
import json

import pytest

from dq_checks.catalogue import find_suites
from tests.dq_checks.support import Auditor, Database, rule, suite


def _lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_groups_add_up_to_the_whole(auditor: Auditor, seeded: Database) -> None:
    shipped = find_suites()
    for run in auditor.runs(seeded.auditor, shipped["contacts"], shipped["accounts"]):
        document = json.loads(auditor.file(run, "result.json"))
        bad = sum(each["bad"] or 0 for each in document["rules"])
        lines = _lines(auditor.file(run, "groups.csv"))
        for by in ("owner", "team", "region"):
            overall = [e for e in lines if (e["by"], e["dimension"]) == (by, "overall")]
            assert len(overall) > 1
            assert sum(int(each["elements"]) for each in overall) == document["elements"]
            assert sum(int(each["bad"]) for each in overall) == bad
            for name, each in document["dimensions"].items():
                parts = [e for e in lines if (e["by"], e["dimension"]) == (by, name)]
                assert sum(int(part["elements"]) for part in parts) == each["elements"]


def test_groups_by_hand(auditor: Auditor, database: Database) -> None:
    database.do(
        "create table people (id int, owner int, area text, name text, boss int)",
        "create table staff (id int, team int, region text)",
        "insert into staff values (1, 7, 'east'), (2, 7, 'west')",
        "insert into people values (1, 1, null, 'a', 1), (2, 1, null, null, 99),"
        " (3, 2, 'north', 'a', 2), (4, null, null, 'b', null)",
    )
    people = suite(
        rule("p.name", "filled", column="name"),
        rule("p.one", "unique", columns=["name"]),
        rule("p.boss", "reference", column="boss", table="people"),
        owner_column="owner",
        region_column="area",
        owners={"table": "staff", "team": "team", "region": "region"},
    )
    lines = _lines(auditor.file(auditor.run(database.auditor, people), "groups.csv"))
    found = {
        (e["by"], e["group"]): (e["score"], int(e["bad"]), int(e["elements"]))
        for e in lines
        if e["dimension"] == "overall"
    }
    assert found == {
        ("owner", "1"): ("0.400000", 3, 5),
        ("owner", "2"): ("0.666667", 1, 3),
        ("owner", "(none)"): ("1.000000", 0, 2),
        ("team", "7"): ("0.500000", 4, 8),
        ("team", "(none)"): ("1.000000", 0, 2),
        ("region", "east"): ("0.400000", 3, 5),
        ("region", "north"): ("0.666667", 1, 3),
        ("region", "(none)"): ("1.000000", 0, 2),
    }


@pytest.mark.parametrize("hidden", [True, False])
def test_what_cannot_be_grouped_is_said(auditor: Auditor, database: Database, hidden: bool) -> None:
    database.do(
        "create table people (id int, owner int, name text)",
        "create table staff (id int, team int)",
        "insert into people values (1, 1, 'a')",
        *(["revoke select on staff from crm_audit"] if hidden else ["drop table staff"]),
    )
    people = suite(
        rule("p.name", "filled", column="name"),
        owner_column="owner",
        owners={"table": "staff", "team": "team"},
    )
    run = auditor.run(database.auditor, people)
    why = "the audit's database role may not read it" if hidden else "the table is missing"
    assert [each.title for each in run.findings] == [f"no scores by team: table staff: {why}"]
    assert {each["by"] for each in _lines(auditor.file(run, "groups.csv"))} == {"owner"}
    silent = auditor.run(database.auditor, people, groups=False)
    assert not any("groups" in each.path for each in silent.evidence)
