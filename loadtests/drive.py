"""Puts a target under load: the generators work, the parent collects and beats."""

from __future__ import annotations

import time

from crmops.execute import Execution
from loadtests.assignment import Assignment
from loadtests.breach import BreachWatch
from loadtests.distributed.fleet import Fleet
from loadtests.generator import GeneratorLost, Generators
from loadtests.journal import NAME
from loadtests.live import Watch, live_measures, look
from loadtests.plan import Plan, person_plans, plain_target
from loadtests.result import Result
from loadtests.schedule import PhaseClock
from loadtests.settings import KillSwitch, Settings

BEAT = 1.0


def make_plans(assignment: Assignment, execution: Execution) -> list[Plan]:
    """A plan for each generator: every nth person, so that the roles stay mixed."""
    workers = min(assignment.settings.processes, len(assignment.people))
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
            workers=workers,
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
    generators = _generators(plans, assignment.settings, execution)
    try:
        generators.go()
        _listen(generators, assignment, execution, result, watch)
    except GeneratorLost as lost:
        at = f"{result.elapsed:.0f} of {assignment.workload.seconds:.0f} s"
        result.lost, result.hint = f"{lost.message} after {at}", lost.hint
    finally:
        result.incidents = generators.incidents
        generators.end()
    return result


def _generators(plans: list[Plan], settings: Settings, execution: Execution) -> Generators | Fleet:
    """Processes of this machine, or workers that join from elsewhere."""
    silence = settings.instrument.silence
    if settings.distributed.listen:
        return Fleet(plans, execution.folder, silence, settings.distributed, execution.beat)
    return Generators(plans, execution.folder, silence)


def _listen(
    generators: Generators | Fleet,
    assignment: Assignment,
    execution: Execution,
    result: Result,
    watch: Watch,
) -> None:
    settings, workload = assignment.settings, assignment.workload
    breaches = BreachWatch(settings.abort, workload, assignment.objectives)

    def tell() -> None:
        live = look(result, assignment, execution.id)
        execution.beat(live_measures(live))
        watch(live)

    beat = time.monotonic()
    while not generators.done:
        for worker, message in generators.messages(BEAT / 4):
            if message["type"] == "delta":
                result.take(worker, message)
        if time.monotonic() - beat >= BEAT:
            beat = time.monotonic()
            tell()
            if _must_end(result, settings.kill_switch, breaches):
                generators.stop()
    tell()


def _must_end(result: Result, switch: KillSwitch, breaches: BreachWatch) -> bool:
    """Note why the run must end now, once; False while it may go on."""
    if result.killed_by_switch or result.stopped_on_breach:
        return False
    result.killed_by_switch = harmful(result, switch)
    if not result.killed_by_switch:
        result.stopped_on_breach = breaches.breach(result)
    return bool(result.killed_by_switch or result.stopped_on_breach)


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
