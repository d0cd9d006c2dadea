"""A search for the capacity from beginning to end: search, fit, judge, record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from crmops.execute import Execution, executing
from crmops.record import Kind, Measure, Run, Unit, Verdict
from crmops.verdict import Judgement, Objective, judge
from loadtests.capacity.attempts import Attempts
from loadtests.capacity.estimate import Estimate, estimate
from loadtests.capacity.report import document, render
from loadtests.capacity.search import Ended, Rules, Search
from loadtests.capacity.steps import Step
from loadtests.live import Live

JSON, HTML = "capacity.json", "capacity.html"


def find_capacity(
    attempts: Attempts,
    rules: Rules,
    *,
    at_least: int = 0,
    told: Callable[[Search, Step], None] = lambda _search, _step: None,
) -> Run:
    """Search, and record what was found as ``capacity:<workload>``.

    Every step is a load test of its own in the history.  Raises CannotRun if a step cannot be
    run; the search is recorded all the same.
    """
    with executing(
        attempts.history,
        Kind.LOAD,
        attempts.target.name,
        f"capacity:{attempts.workload.name}",
        config_digest=attempts.config_digest,
    ) as execution:
        search = Search(_beating(attempts, execution), rules)
        search.told = lambda step: told(search, step)
        search.run()
        found = estimate(search)
        execution.measures(*measures(found, search))
        judgement = judged(found, search, execution.run.measures, at_least)
        execution.conclude_by(judgement)
        _findings(execution, found)
        made = document(execution.run, search, found, attempts)
        execution.attach(JSON, json.dumps(made, ensure_ascii=False, indent=1))
        execution.attach(HTML, render(made))
    return execution.run


def _beating(attempts: Attempts, execution: Execution) -> Callable[[int, float], Step]:
    """Steps during which the search itself gives signs of life."""

    def watch(live: Live) -> None:
        execution.beat()
        attempts.watch(live)

    beating = replace(attempts, watch=watch)

    def attempt(users: int, stretch: float) -> Step:
        execution.beat()
        return beating(users, stretch)

    return attempt


def measures(found: Estimate, search: Search) -> list[Measure]:
    """The numbers of a search; ``observed`` is how many steps they rest on."""
    numbers = (
        ("capacity.users", found.users),
        ("capacity.users.low", found.low),
        ("capacity.users.high", found.high),
        ("capacity.knee.users", found.law.knee if found.law else None),
        ("capacity.throughput.max", found.law.ceiling if found.law else None),
    )
    return [
        Measure(name=name, value=value, unit=Unit.COUNT, observed=len(search.steps))
        for name, value in numbers
    ]


def judged(
    found: Estimate, search: Search, numbers: tuple[Measure, ...], at_least: int
) -> Judgement:
    """The verdict: whether a number was found, or whether it is the one demanded.

    A demand is met when the lower bound reaches it, and missed when the upper one does not.
    """
    if at_least:
        low = judge(numbers, [Objective(measure="capacity.users.low", op=">=", limit=at_least)])
        if low.verdict is Verdict.PASS:
            return low.model_copy(update={"reason": f"{at_least} people are wanted: {found.words}"})
        if found.high is not None and found.high < at_least:
            reason = f"{at_least} people are wanted: {found.words}"
            return low.model_copy(update={"verdict": Verdict.FAIL, "reason": reason})
        reason = f"whether it carries {at_least} people is not known: {found.words}"
        return low.model_copy(update={"verdict": Verdict.UNKNOWN, "reason": reason})
    verdict = Verdict.UNKNOWN
    if search.ended in (Ended.FOUND, Ended.MOST):
        verdict = Verdict.PASS
    elif search.ended is Ended.NONE:
        verdict = Verdict.FAIL
    return Judgement(verdict=verdict, reason=found.words)


def _findings(execution: Execution, found: Estimate) -> None:
    if found.first:
        where = f"with {found.first_at} people" if found.first_at else ""
        execution.finding(
            f"{found.first[0]} gives way first",
            f"{where}; then {', '.join(found.first[1:])}" if found.first[1:] else where,
            severity="info",
            subject="capacity",
        )
