"""Waivers: what they take out of a score, what they never hide, and when they end."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crmops.errors import ConfigError
from crmops.record import Run, Verdict, utc_now
from dq_checks.run import Audit, run_suites
from dq_checks.settings import Settings
from dq_checks.waivers import Waiver, gather, in_force
from tests.dq_checks.support import Auditor, Database, rule, suite

TODAY = utc_now().date()
NAME = rule("p.name", "filled", column="name", dimension="completeness")
ONE = rule("p.one", "unique", columns=["mail"], dimension="uniqueness")
PEOPLE = suite(NAME, ONE, owner_column="owner")


def waiver(rule: str, record: str = "", days: int = 30) -> Waiver:
    return Waiver(
        rule=rule,
        record=record,
        reason="the vendor mends it",
        approver="Li Na",
        granted=TODAY - timedelta(days=60),
        expires=TODAY + timedelta(days=days),
    )


@pytest.fixture
def people(database: Database) -> str:
    """Four people: 1 and 2 nameless, 2 and 3 with the same address."""
    database.do(
        "create table people (id int, name text, mail text, owner int)",
        "insert into people values (1, null, 'a', 1), (2, ' ', 'b', 1), (3, 'c', 'b', 2),"
        " (4, 'd', null, 2)",
    )
    return database.auditor


def _run(auditor: Auditor, url: str, *waivers: Waiver, **settings: Any) -> Run:
    chosen = Settings(**settings)
    audit = Audit("crm", url, chosen, auditor.history, waivers=waivers)
    return run_suites(audit, [PEOPLE], auditor.worker)[0]


def _numbers(run: Run) -> dict[str, tuple[float | None, int]]:
    return {each.name: (each.value, each.observed) for each in run.measures}


def test_a_waived_record_leaves_the_score_and_is_counted(auditor: Auditor, people: str) -> None:
    before = _numbers(_run(auditor, people))
    assert (before["score"], before["elements.waived"]) == ((3 / 7, 7), (0.0, 7))
    run = _run(auditor, people, waiver("p.name", "1"), waiver("p.one", "3"), waiver("p.name", "4"))
    found = _numbers(run)
    assert found["rule.score{p.name}"] == (2 / 3, 3)
    assert found["rule.bad{p.name}"] == (1.0, 3)
    assert found["rule.score{p.one}"] == (1 / 2, 2)
    assert (found["score"], found["elements.waived"]) == ((3 / 5, 5), (2.0, 7))
    assert auditor.listed(run) == {"p.name": {"2"}, "p.one": {"2"}}
    lines = csv.DictReader(io.StringIO(auditor.file(run, "groups.csv")))
    overall = [e for e in lines if (e["by"], e["dimension"]) == ("owner", "overall")]
    assert sum(int(each["elements"]) for each in overall) == 5
    assert sum(int(each["bad"]) for each in overall) == 2
    assert auditor.rules(run)["p.name"]["waived"] == 1


def test_a_waived_rule_is_shown_and_decides_nothing(auditor: Auditor, people: str) -> None:
    goal = [{"measure": "score", "op": ">=", "limit": 0.3}]
    run = _run(auditor, people, waiver("p.name"), objectives=goal)
    found = _numbers(run)
    assert found["score"] == (1 / 3, 3)
    assert found["score{completeness}"] == (None, 0)
    assert found["rule.score{p.name}"] == (0.5, 4)
    assert (found["rules.waived"], found["rules.failed"]) == ((1.0, 2), (1.0, 2))
    assert run.reason == "rule.score{p.one} is 0.333333, not >= 1"
    shown = [(each.title, each.detail) for each in run.findings if each.subject == "p.name"]
    until = TODAY + timedelta(days=30)
    answered = f"the vendor mends it; Li Na answers until {until}; it is 50.00 %"
    assert shown == [("waived: the rule p.name", answered)]
    assert auditor.rules(run)["p.name"]["status"] == "waived"
    silent = _run(auditor, people, waiver("p.name"), waiver("p.one"), objectives=goal)
    assert silent.verdict is Verdict.UNKNOWN
    assert silent.reason == "score has no value"


def test_an_expired_waiver_is_a_finding_and_hides_nothing(auditor: Auditor, people: str) -> None:
    run = _run(auditor, people, waiver("p.name", "1", days=-1), waiver("p.one", days=-2))
    assert _numbers(run)["score"] == (3 / 7, 7)
    ended = [each for each in run.findings if "expired" in each.title]
    assert [each.title for each in ended] == [
        "a waiver has expired: p.name, record 1",
        "a waiver has expired: p.one",
    ]
    assert ended[0].detail == f"approved by Li Na, expired {TODAY - timedelta(days=1)}"


def test_a_prolonged_waiver_has_not_expired() -> None:
    later = Waiver.model_validate(
        {**waiver("p.one").model_dump(), "granted": TODAY + timedelta(days=1)}
    )
    found = in_force([waiver("p.name", days=-1), waiver("p.name"), later], PEOPLE, TODAY)
    assert (set(found.rules), found.expired) == ({"p.name"}, ())
    assert in_force([waiver("q.other")], PEOPLE, TODAY).rules == {}


def test_waivers_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(
        "waivers:\n  - {rule: p.name, record: 17, reason: moved, approver: Li Na,"
        " granted: 2026-01-01, expires: 2026-02-01}\n"
    )
    (found,) = gather([], [path], [PEOPLE])
    assert (found.rule, found.record) == ("p.name", "17")
    with pytest.raises(ConfigError, match=r"a waiver is for 'p\.nam', which is no rule") as caught:
        gather([waiver("p.nam")], [], [PEOPLE])
    assert caught.value.hint == "Did you mean 'p.name'?"
    path.write_text(path.read_text().replace("2026-02-01", "2025-02-01"))
    with pytest.raises(ConfigError, match="a waiver cannot expire before it is granted"):
        gather([], [path], [PEOPLE])
