"""A search on the real reference CRM, and what its runs say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crmops.errors import UsageError
from crmops.history import History
from crmops.record import Kind, Measure, Unit, Verdict, new_run
from crmops.target import Target
from crmops.verdict import Objective
from loadtests.capacity.attempts import Attempts, as_step, most_people, steady
from loadtests.capacity.estimate import estimate
from loadtests.capacity.report import ticks
from loadtests.capacity.run import find_capacity, judged, measures
from loadtests.capacity.search import Rules, Search
from loadtests.capacity.steps import Outcome, Step
from loadtests.settings import Samples, Settings
from loadtests.workload import Workload
from tests.conftest import TargetFactory
from tests.loadtests.browsing import chromium

WORKLOAD = Workload.model_validate(
    {
        "name": "small",
        "summary": "a few people in a hurry",
        "users": 20,
        "pace": 0.02,
        "phases": [{"name": "arrival", "seconds": 2, "within": 1}],
        "roles": {"rep": {"share": 1, "journeys": {"browse_open": 1}}},
    }
)
SETTINGS = Settings(
    objectives=(Objective(measure="response_time.p50", limit=10),), samples=Samples(p50=5)
)


@pytest.mark.browser
def test_a_search_is_a_run_with_its_steps(history: History, target_factory: TargetFactory) -> None:
    attempts = Attempts(target_factory(), WORKLOAD, SETTINGS, history, 2, 1)
    told: list[Step] = []
    run = find_capacity(
        attempts, Rules(start=4, most=8), at_least=3, told=lambda _search, step: told.append(step)
    )
    assert history.get(run.id) == run
    assert (run.kind, run.subject, run.verdict) == (Kind.LOAD, "capacity:small", Verdict.PASS)
    assert run.reason == (
        "3 people are wanted: at least 8 people meet the objectives; more are not allowed"
    )
    users, high = run.measure("capacity.users"), run.measure("capacity.users.high")
    assert users is not None
    assert high is not None
    assert (users.value, users.observed, high.value) == (8, 3, None)
    steps = history.find(Kind.LOAD, subject="capacity_small")
    assert [each.run for each in told] == [each.id for each in reversed(steps)]
    made = json.loads((history.artifacts(run.id) / "capacity.json").read_text())
    assert [each["users"] for each in made["steps"]] == [4, 8, 8]
    _check_page(history.artifacts(run.id) / "capacity.html", made)
    assert len(run.evidence) == 2
    assert all(history.files.intact(each) for each in run.evidence)


def _check_page(path: Path, made: dict[str, Any]) -> None:
    """The page in Chromium asks nobody and says what the JSON says."""
    with chromium("file://") as watched:
        page = watched.page
        page.goto(path.as_uri())
        assert page.inner_text("#verdict") == made["run"]["verdict"]
        assert page.inner_text("#reason") == made["run"]["reason"]
        assert watched.table("steps")[1:] == [
            [
                str(each["users"]),
                f"{each['seconds']:g}",
                each["outcome"],
                f"{each['throughput']:.1f}",
                f"{each['p95']:.4f}",
                each["reason"],
                each["run"],
            ]
            for each in made["steps"]
        ]
        assert page.locator("svg circle.met, svg rect.missed").count() == 2 * len(made["steps"])
        assert made["law"] is None  # of two numbers of people there is none
        assert (
            page.inner_text("#law") == "Too few different numbers of people were tried to fit one."
        )


def test_a_demand_is_met_missed_or_open() -> None:
    def attempt(users: int, stretch: float) -> Step:
        outcome = Outcome.MET if users <= 100 else Outcome.MISSED
        return Step(users, stretch, outcome, "r", float(users), 0.1)

    search = Search(attempt, Rules(start=10, most=1000))
    search.run()
    found = estimate(search)
    numbers = tuple(measures(found, search))
    verdicts = [judged(found, search, numbers, wanted).verdict for wanted in (0, 50, 100, 300)]
    assert verdicts == ["pass", "pass", "unknown", "fail"]


def step_of(verdict: str, reason: str, *numbers: tuple[str, float | None]) -> Step:
    run = new_run(Kind.LOAD, "crm", "capacity_small").with_(
        verdict=verdict,
        reason=reason,
        measures=tuple(
            Measure(name=name, value=value, unit=Unit.SECONDS, observed=1000)
            for name, value in numbers
        ),
    )
    settings = Settings(
        objectives=(
            Objective(measure="response_time.p95", limit=1),
            Objective(measure="throttled.ratio", limit=0.05),
        )
    )
    return as_step(run, WORKLOAD, settings)


def test_what_a_step_says() -> None:
    slow = step_of("fail", "slow", ("response_time.p95", 2.0), ("throttled.ratio", 0.2))
    assert slow.outcome is Outcome.MISSED
    assert slow.broken == (
        ("latency", "response_time.p95", 2.0),
        ("throttled", "throttled.ratio", 4.0),
    )
    lost = step_of("fail", "3 acknowledged writes are lost", ("response_time.p95", 0.1))
    assert lost.broken == (("lost writes", "", None),)
    few = step_of(
        "unknown",
        "throttled.ratio was not measured",
        ("response_time.p95", 0.1),
    )
    assert few.outcome is Outcome.FEW
    lag = step_of("unknown", "the generator was overloaded", ("response_time.p95", 0.1))
    assert lag.outcome is Outcome.INSTRUMENT
    rates = step_of("pass", "", ("request.rate", 100.0), ("throttled.ratio", 0.04))
    assert rates.throughput == pytest.approx(96)


def test_only_people_at_work_can_be_counted() -> None:
    opened = {
        **WORKLOAD.model_dump(),
        "model": "open",
        "phases": [{"name": "work", "seconds": 5, "rate": 2}],
    }
    with pytest.raises(UsageError) as refused:
        steady(Workload.model_validate(opened), 10, 5, 5)
    assert refused.value.message == (
        "workload 'small' is open: its load is a rate, not a number of people"
    )


def test_as_many_as_have_accounts(target_factory: TargetFactory) -> None:
    target: Target = target_factory()
    reps = sum(each.role == "rep" for each in target.accounts)
    assert most_people(target, WORKLOAD, 0) == min(reps, target.load.max_users)
    assert most_people(target, WORKLOAD, 7) == 7
    with pytest.raises(UsageError) as refused:
        most_people(target_factory(accounts=()), WORKLOAD, 0)
    assert refused.value.message == "target 'crm' has no accounts for simulated people"


def test_ticks_are_round() -> None:
    assert list(ticks(95)) == [0, 20, 40, 60, 80]
    assert list(ticks(0.6)) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
