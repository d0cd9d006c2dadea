"""``crmops dq`` as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import python_calamine

from crmops.cli import run as crmops
from tests.dq_checks.support import Database

SUITE = """
name: people
entity: contact
table: people
owner_column: owner_id
rules:
  - id: people.name.filled
    title: A person has a name
    check: filled
    column: name
    dimension: completeness
    code: "0201"
    threshold: 0.9
"""


@pytest.fixture
def place(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration, a suite and a database of ten people, one nameless."""
    for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(name)
    database.do(
        "create table people (id bigint, name text, owner_id int default 7)",
        "insert into people select i, case when i > 1 then 'Planted-Person' end"
        " from generate_series(1, 10) i",
    )
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "people.yaml").write_text(SUITE)
    (tmp_path / "crmops.yaml").write_text(
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:1\n"
        "    database:\n      url: env:AUDIT_URL\n"
        "dq:\n  suites: [people]\n  suite_directories: [suites]\n  objectives:\n"
        "    - {measure: score, op: '>=', limit: 0.9}\n"
    )
    monkeypatch.setenv("AUDIT_URL", database.auditor + "&password=planted-pw")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_audit_and_score(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmops(["dq", "score", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["missing"] == ["people"]
    assert crmops(["dq", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"people", "accounts", "contacts"} <= {each["name"] for each in listed["suites"]}
    assert crmops(["--set", "dq.worklist=all", "dq", "run", "--json"]) == 0
    said = capsys.readouterr()
    ran = json.loads(said.out)
    measures = {each["name"]: each for each in ran["runs"][0]["measures"]}
    assert ran["verdict"] == "pass"
    assert (measures["score"]["value"], measures["score"]["observed"]) == (0.9, 10)
    assert measures["rule.bad{people.name.filled}"]["value"] == 1
    assert crmops(["dq", "profile"]) == 0
    assert "profile.people: pass" in capsys.readouterr().out
    assert crmops(["dq", "profile", "--json"]) == 0
    profiled = capsys.readouterr().out
    name = {each["name"]: each for each in json.loads(profiled)["profiles"][0]["columns"]}["name"]
    assert (name["missing"], name["distinct"]) == (1, 1)
    assert name["shapes"] == [["Aa+-Aa+", 9]]
    assert "Planted-Person" not in profiled
    kept = b"".join(each.read_bytes() for each in place.rglob("*") if each.is_file())
    for secret in ("planted-pw", "Planted-Person"):
        assert secret not in said.out + said.err
        assert secret.encode() not in kept
    assert crmops(["dq", "score"]) == 0
    capsys.readouterr()
    assert crmops(["dq", "score", "--by", "owner", "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert (group["group"], group["score"], group["bad"]) == ("7", "0.900000", "1")
    link = ["--set", "dq.record_link=https://crm.example/{table}/{id}", "dq", "worklist", "people"]
    for name in ("mine.csv", "mine.xlsx"):
        assert crmops([*link, "--owner", "7", "--out", name]) == 0
        assert "1 records to mend, about 0.1 hours" in capsys.readouterr().out
    assert ",1,7,,https://crm.example/people/1,3.0" in (place / "mine.csv").read_text()
    sheet = python_calamine.load_workbook(place / "mine.xlsx").get_sheet_by_index(0).to_python()
    assert sheet[1][3:7] == ["1", "7", "", "https://crm.example/people/1"]
    assert crmops([*link, "--owner", "8", "--out", "none.csv"]) == 0
    assert crmops([*link, "--out", "mine.doc"]) == 2
    assert crmops([*link, "--out", "nowhere/mine.csv"]) == 4
    assert crmops(["dq", "worklist", "teams", "--out", "x.csv"]) == 3
    assert crmops(["dq", "score", "--by", "colour"]) == 2
    assert crmops(["dq", "score", "--by", "team"]) == 3


def test_a_failed_audit_says_what_is_wrong(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SUITE.replace("threshold: 0.9", "threshold: 0.95")
    (place / "suites" / "people.yaml").write_text(text)
    assert crmops(["dq", "run"]) == 1
    said = capsys.readouterr()
    assert "A person has a name" in said.out
    assert "not so for 1 of 10: 90.00 %, 95.00 % are wanted" in said.out
    assert "Traceback" not in said.out + said.err


def test_the_command_line_does_not_load_the_heavy_library() -> None:
    program = (
        "import sys, dq_checks.cli, dq_checks.run, dq_checks.catalogue\n"
        "print([each for each in sys.modules if each.startswith(('great_exp', 'pandas'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
