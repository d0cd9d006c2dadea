"""What a run's numbers are worth: objectives, after the instrument itself has been judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from crmops.record import Measure, Verdict, measures_by_name
from crmops.verdict import Judgement, Objective, judge
from loadtests.measures import split
from loadtests.result import Result
from loadtests.settings import Samples, Settings
from loadtests.workload import Workload

USERS_MISSED = 0.02
"""Share of the people who may be absent at the peak before the load counts as not reached."""

CLOCK_STEP = 1.0
"""Seconds that the wall clock may jump within one second of the run."""

RELIEF = "add --workers, take fewer people, or give the generator a core of its own"


class Doubt(NamedTuple):
    """A reason not to believe the numbers, and what can be done about it."""

    reason: str
    suggestion: str


def with_samples(objectives: Iterable[Objective], samples: Samples) -> list[Objective]:
    """Objectives that demand as many samples as their percentile needs.

    Raises ConfigError for a measure that no load test has.
    """
    found = []
    for each in objectives:
        split(each.measure)
        least = max(each.minimum_samples, samples.wanted(each.measure))
        found.append(each.model_copy(update={"minimum_samples": least}))
    return found


def judge_run(
    result: Result,
    workload: Workload,
    measures: Sequence[Measure],
    objectives: Sequence[Objective],
    settings: Settings,
) -> Judgement:
    """The verdict.  A lost generator is an error; an instrument that cannot be trusted makes it
    unknown, whatever the numbers say; the rest is the objectives' word.
    """
    judged = judge(measures, objectives)
    if result.lost:
        return _overruled(judged, Verdict.ERROR, [result.lost])
    if not result.response.cells:
        return _overruled(judged, Verdict.UNKNOWN, ["no request was sent"])
    if result.killed_by_switch:
        return _overruled(judged, Verdict.FAIL, [result.killed_by_switch])
    doubts = instrument_doubts(result, workload, measures, settings)
    if doubts:
        return _overruled(judged, Verdict.UNKNOWN, [each.reason for each in doubts])
    if result.stopped_on_breach:
        return _overruled(judged, Verdict.FAIL, [result.stopped_on_breach])
    return judged


def _overruled(judged: Judgement, verdict: Verdict, reasons: Sequence[str]) -> Judgement:
    return judged.model_copy(update={"verdict": verdict, "reason": "; ".join(reasons)})


def instrument_doubts(
    result: Result, workload: Workload, measures: Sequence[Measure], settings: Settings
) -> list[Doubt]:
    """Every reason not to believe the numbers."""
    peak = result.peak()
    whole = workload.model == "closed" and not result.stopped_on_breach
    missed = whole and peak < workload.peak * (1 - USERS_MISSED)
    reached = Doubt(
        f"{peak} of {workload.peak} people were reached",
        "read generator0.log beside the run's evidence, and give the first phase more time",
    )
    doubts = [reached] if missed else []
    return [*doubts, *health_doubts(result, measures, settings)]


def health_doubts(result: Result, measures: Sequence[Measure], settings: Settings) -> list[Doubt]:
    """The reasons that lie in the generator and in what befell it; true at any moment of a run."""
    found = measures_by_name(measures)
    limits = settings.instrument
    doubts: list[Doubt] = []

    def value(name: str) -> float | None:
        return found[name].value if name in found else None

    lag = value("instrument.loop_lag.p99")
    if lag is None:
        doubts.append(Doubt("the generator's health was not measured", "let it run for longer"))
    elif lag > limits.loop_lag:
        seen, allowed = f"loop lag p99 {lag:.3f} s", f"{limits.loop_lag:g} s allowed"
        doubts.append(Doubt(f"the generator was overloaded: {seen}, {allowed}", RELIEF))
    cpu = value("instrument.cpu.ratio")
    if cpu is not None and cpu > limits.cpu:
        seen, allowed = f"{cpu:.0%} of a core", f"{limits.cpu:.0%} allowed"
        doubts.append(Doubt(f"the generator was overloaded: {seen}, {allowed}", RELIEF))
    sent = value("instrument.sent.ratio")
    if sent is not None and sent < limits.sent:
        late = f"{sent:.1%} of the scheduled calls left on time, {limits.sent:.0%} wanted"
        doubts.append(Doubt(late, RELIEF))
    return [*doubts, *_incidents(result)]


def _incidents(result: Result) -> list[Doubt]:
    found = [Doubt(each, "look after that worker, and repeat the run") for each in result.incidents]
    held, step = result.counts["held"], result.clock_step
    if held:
        cap = f"the target's rate cap held {held} calls back"
        found.append(Doubt(cap, "raise the target's load.max_rate, or send fewer people"))
    if abs(step) > CLOCK_STEP:
        found.append(Doubt(f"the clock stepped by {step:+.1f} s", "let the clock be slewed"))
    dropped, arrivals = result.counts["dropped"], result.counts["arrivals"]
    if dropped:
        lost = f"{dropped} of {arrivals} arrivals were dropped: add people to the pool"
        found.append(Doubt(lost, "add people to the pool, if the CRM can carry the rate"))
    return found
