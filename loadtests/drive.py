"""Puts a target under load: the generators work, the parent collects and beats."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crmops.execute import Execution
from crmops.record import Measure, Unit, Verdict
from crmops.verdict import Judgement
from loadtests.assignment import Assignment
from loadtests.breach import BreachWatch
from loadtests.buckets import merged
from loadtests.generator import GeneratorLost, Generators
from loadtests.journal import NAME
from loadtests.plan import Plan, person_plans, plain_target
from loadtests.result import Result
from loadtests.schedule import PhaseClock
from loadtests.settings import KillSwitch
from loadtests.standing import standing

LIVE_SPAN = 5.0
"""Seconds that the live measures look back."""

BEAT = 1.0


@dataclass(frozen=True, slots=True)
class Live:
    """How the run is going, for whoever watches."""

    at: float
    seconds: float
    phase: str
    users: int
    rate: float
    p95: float | None
    error_ratio: float | None
    requests: int
    failed: int
    lag: float | None
    dropped: int
    outcomes: Mapping[str, int]
    roles: Mapping[str, int]
    scheduled: int
    on_time: int
    judgement: Judgement
    result: Result


Watch = Callable[[Live], None]


def make_plans(assignment: Assignment, execution: Execution) -> list[Plan]:
    """A plan for each generator: every nth person, so that the roles stay mixed."""
    workers = min(assignment.settings.workers, len(assignment.people))
    shares = [list(assignment.people[worker::workers]) for worker in range(workers)]
    return [
        Plan(
            run_id=execution.id,
            seed=assignment.workload.name,
            target=plain_target(assignment.target),
            workload=assignment.workload.model_dump(mode="json"),
            journeys=assignment.journeys,
            people=person_plans(people),
            journal=str(execution.folder / f"{worker:02d}-{NAME}"),
            max_rate=assignment.target.load.max_rate / workers,
            share=len(people) / len(assignment.people),
            worker=worker,
            redirects=assignment.settings.follow_redirects,
            client=assignment.settings.client,
        )
        for worker, people in enumerate(shares)
    ]


def put_under_load(assignment: Assignment, execution: Execution, watch: Watch) -> Result:
    """Let the generators work and collect what they count; a lost one ends them all."""
    phases = [(phase.name, phase.seconds) for phase in assignment.workload.phases]
    result = Result(PhaseClock(phases))
    plans = make_plans(assignment, execution)
    silence = assignment.settings.instrument.silence
    generators = Generators(plans, execution.folder, silence)
    try:
        generators.go()
        _listen(generators, assignment, execution, result, watch)
    except GeneratorLost as lost:
        at = f"{result.elapsed:.0f} of {assignment.workload.seconds:.0f} s"
        result.lost, result.hint = f"{lost.message} after {at}", lost.hint
    finally:
        generators.end()
    return result


def _listen(
    generators: Generators,
    assignment: Assignment,
    execution: Execution,
    result: Result,
    watch: Watch,
) -> None:
    settings, workload = assignment.settings, assignment.workload
    breaches = BreachWatch(settings.abort, workload, assignment.objectives)
    beat = time.monotonic()
    while not generators.done:
        for generator, message in generators.messages(BEAT / 4):
            if message["type"] == "delta":
                result.take(generator.worker, message)
        if time.monotonic() - beat >= BEAT:
            beat = time.monotonic()
            live = look(result, assignment)
            execution.beat(live_measures(live))
            watch(live)
            if _must_end(result, settings.kill_switch, breaches):
                generators.stop()


def _must_end(result: Result, switch: KillSwitch, breaches: BreachWatch) -> bool:
    """Note why the run must end now, once; False while it may go on."""
    if result.killed_by_switch or result.stopped_on_breach:
        return False
    result.killed_by_switch = harmful(result, switch)
    if not result.killed_by_switch:
        result.stopped_on_breach = breaches.breach(result)
    return bool(result.killed_by_switch or result.stopped_on_breach)


def look(result: Result, assignment: Assignment) -> Live:
    """How it has been going in the last seconds, and how the run stands."""
    workload, settings = assignment.workload, assignment.settings
    recent = result.recent(LIVE_SPAN)
    requests = sum(each.requests for each in recent)
    failed = sum(each.failed for each in recent)
    everything = result.response.counted()
    return Live(
        at=result.elapsed,
        seconds=workload.seconds,
        phase=result.clock.at(result.elapsed),
        users=recent[-1].users if recent else 0,
        rate=requests / len(recent) if recent else 0.0,
        p95=merged(each.response for each in recent).percentile(0.95),
        error_ratio=failed / requests if requests else None,
        requests=everything,
        failed=result.response.failed(),
        lag=merged(each.lag for each in recent).percentile(0.99),
        dropped=result.counts["dropped"],
        outcomes=result.response.outcomes(),
        roles=recent[-1].roles if recent else {},
        scheduled=result.counts["scheduled"],
        on_time=result.counts["on_time"],
        judgement=standing(result, workload, assignment.objectives, settings),
        result=result,
    )


def live_measures(live: Live) -> list[Measure]:
    """The live numbers as the exporter reads them: those of the last seconds, and since the
    beginning how many calls ended how; how many people of each role are there; how the run stands.
    """
    numbers = (
        ("users", float(live.users), Unit.COUNT),
        ("request.rate", live.rate, Unit.COUNT),
        ("response_time.p95", live.p95, Unit.SECONDS),
        ("error.ratio", live.error_ratio, Unit.RATIO),
        ("instrument.loop_lag.p99", live.lag, Unit.SECONDS),
        ("dropped", float(live.dropped), Unit.COUNT),
        ("scheduled", float(live.scheduled), Unit.COUNT),
        ("on_time", float(live.on_time), Unit.COUNT),
        *_each("calls", live.outcomes),
        *_each("users", live.roles),
        *_each("verdict", {each.value: each is live.judgement.verdict for each in Verdict}),
    )
    return [
        Measure(name=name, value=value, unit=unit, observed=live.requests)
        for name, value, unit in numbers
    ]


def _each(name: str, counts: Mapping[str, int]) -> list[tuple[str, float, Unit]]:
    return [
        (f"{name}{{{label}}}", float(count), Unit.COUNT) for label, count in sorted(counts.items())
    ]


def harmful(result: Result, switch: KillSwitch) -> str:
    """Why the run must end now, or nothing."""
    recent = result.recent(switch.seconds)
    requests = sum(each.requests for each in recent)
    failed = sum(each.failed for each in recent)
    if requests < switch.samples or failed / requests < switch.error_ratio:
        return ""
    return (
        f"stopped after {result.elapsed:.0f} s: {failed} of {requests} requests failed "
        f"within {len(recent)} s"
    )
