"""A load test from beginning to end: guard, execute, measure, judge, record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import version

from crmops.errors import AlreadyRunning
from crmops.execute import Execution, executing
from crmops.history import History
from crmops.record import Kind, Run, Verdict, utc_now
from crmops.verdict import Judgement
from loadtests.assignment import Assignment, check_login
from loadtests.drive import put_under_load
from loadtests.evidence import attach_evidence
from loadtests.findings import add_findings
from loadtests.live import Watch
from loadtests.measures import Measures
from loadtests.prometheus import snapshot_findings, take_snapshot
from loadtests.result import Result
from loadtests.serverside import look_up_spans, span_findings
from loadtests.verdict import judge_run
from loadtests.volume import look_at_volume
from loadtests.writes import Writes, data_findings, data_measures, look_after_writes

CLAIM_SPARE = 300.0
"""Seconds beyond the run's own for which its claim on the target holds."""


def run_load(
    assignment: Assignment,
    history: History,
    *,
    config_digest: str = "",
    watch: Watch = lambda _live: None,
) -> Run:
    """Put the target under load and record what became of it.

    The run is stored whatever happens; raises CannotRun if it could not even begin, and
    AlreadyRunning if the target is under load already.
    """
    target, workload = assignment.target, assignment.workload
    with (
        _alone(history, assignment),
        executing(
            history,
            Kind.LOAD,
            target.name,
            workload.name,
            config_digest=config_digest,
            tool_versions={"locust": version("locust")},
        ) as execution,  # fmt: skip
    ):
        check_login(assignment)
        volume = look_at_volume(target)
        result = put_under_load(assignment, execution, watch)
        result.volume, result.volume_problem = volume
        over = utc_now()
        look_up_spans(target, result)  # before the server forgets them
        writes = look_after_writes(assignment, execution)
        snapshot = take_snapshot(assignment.settings.prometheus, over, result.elapsed)
        judgement = conclude(assignment, execution, result, writes)
        span_findings(execution, result)
        add_findings(execution, assignment, result, judgement)
        snapshot_findings(execution, snapshot, assignment.settings.prometheus)
        attach_evidence(execution, assignment, result, judgement, snapshot)
    return execution.run


@contextmanager
def _alone(history: History, assignment: Assignment) -> Iterator[None]:
    name = f"load/{assignment.target.name}"
    ttl = timedelta(seconds=assignment.workload.seconds + CLAIM_SPARE)
    if not history.claim(name, ttl):
        raise AlreadyRunning(
            f"target {assignment.target.name!r} is under load already",
            hint="Wait for the other run; two at once would spoil both.",
        )
    try:
        yield
    finally:
        history.release(name)


def conclude(
    assignment: Assignment, execution: Execution, result: Result, writes: Writes
) -> Judgement:
    """Add the measures, judge them and end the run with the verdict."""
    found = Measures(result, assignment.workload).all(
        each.measure for each in assignment.objectives
    )
    measures = [*found, *data_measures(writes)]
    execution.measures(*measures)
    judgement = judge_run(
        result, assignment.workload, measures, assignment.objectives, assignment.settings
    )
    judgement = with_writes(judgement, writes)
    data_findings(execution, writes)
    execution.conclude_by(judgement)
    return judgement


def with_writes(judgement: Judgement, writes: Writes) -> Judgement:
    """The judgement in the light of what became of the writes: a lost one is a fail, and one that
    could not be looked for is no pass.
    """
    lost = [*writes.reconciled.lost, *writes.reconciled.lost_updates]
    changes: dict[str, object] = {}
    if lost and judgement.verdict is not Verdict.ERROR:
        reason = f"{len(lost)} acknowledged writes are lost"
        if judgement.verdict is Verdict.FAIL:
            reason = f"{reason}; {judgement.reason}"
        changes = {"verdict": Verdict.FAIL, "reason": reason}
    elif writes.problem and judgement.verdict is Verdict.PASS:
        reason = f"what was written could not be checked: {writes.problem}"
        changes = {"verdict": Verdict.UNKNOWN, "reason": reason}
    return judgement.model_copy(update=changes)
