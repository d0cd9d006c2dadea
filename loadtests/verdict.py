"""What a run's numbers are worth: objectives, after the instrument itself has been judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
        return _overruled(judged, Verdict.UNKNOWN, doubts)
    if result.stopped_on_breach:
        return _overruled(judged, Verdict.FAIL, [result.stopped_on_breach])
    return judged


def _overruled(judged: Judgement, verdict: Verdict, reasons: Sequence[str]) -> Judgement:
    return judged.model_copy(update={"verdict": verdict, "reason": "; ".join(reasons)})


def instrument_doubts(
    result: Result, workload: Workload, measures: Sequence[Measure], settings: Settings
) -> list[str]:
    """Every reason not to believe the numbers."""
    peak = result.peak()
    whole = workload.model == "closed" and not result.stopped_on_breach
    missed = whole and peak < workload.peak * (1 - USERS_MISSED)
    doubts = [f"{peak} of {workload.peak} people were reached"] if missed else []
    return [*doubts, *health_doubts(result, measures, settings)]


def health_doubts(result: Result, measures: Sequence[Measure], settings: Settings) -> list[str]:
    """The reasons that lie in the generator and in what befell it; true at any moment of a run."""
    found = measures_by_name(measures)
    limits = settings.instrument
    doubts: list[str] = []

    def value(name: str) -> float | None:
        return found[name].value if name in found else None

    lag = value("instrument.loop_lag.p99")
    if lag is None:
        doubts.append("the generator's health was not measured")
    elif lag > limits.loop_lag:
        doubts.append(
            f"the generator was overloaded: loop lag p99 {lag:.3f} s, {limits.loop_lag:g} s allowed"
        )
    cpu = value("instrument.cpu.ratio")
    if cpu is not None and cpu > limits.cpu:
        doubts.append(
            f"the generator was overloaded: {cpu:.0%} of a core, {limits.cpu:.0%} allowed"
        )
    sent = value("instrument.sent.ratio")
    if sent is not None and sent < limits.sent:
        doubts.append(f"{sent:.1%} of the scheduled calls left on time, {limits.sent:.0%} wanted")
    return [*doubts, *_incidents(result)]


def _incidents(result: Result) -> list[str]:
    found = list(result.incidents)
    if result.counts["held"]:
        found.append(f"the target's rate cap held {result.counts['held']} calls back")
    if abs(result.clock_step) > CLOCK_STEP:
        found.append(f"the clock stepped by {result.clock_step:+.1f} s")
    dropped, arrivals = result.counts["dropped"], result.counts["arrivals"]
    if dropped:
        found.append(f"{dropped} of {arrivals} arrivals were dropped: add people to the pool")
    return found
