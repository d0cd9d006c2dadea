"""What a person must act on after a load test."""

from __future__ import annotations

from crmops.execute import Execution
from crmops.record import Verdict
from crmops.verdict import Judgement
from loadtests.assignment import Assignment
from loadtests.buckets import Buckets
from loadtests.measures import judged_part, split
from loadtests.recording import ANSWERED, NEUTRAL, THROTTLED, Key, Recording
from loadtests.result import Result
from loadtests.verdict import instrument_doubts
from loadtests.workload import Workload

ADVICE = {
    "server": "read the CRM's error log at the time of the run",
    "timeout": "find the slow query: the report lists the slowest requests with their trace ids",
    "transport": "look for restarts, connection limits and proxies between here and the CRM",
    "auth": "check the session lifetime and the login service",
    "forbidden": "check the accounts' roles, or the workload's journeys for them",
    "invalid": "the answer was not what the journey expects: compare the CRM's version and rules",
    "missing": "records vanish while people work: a job deletes them, or a write was lost",
    "conflict": "two people changed one record, or a duplicate rule is stricter than expected",
}
CRITICAL = 0.05
"""Share of an operation's calls from which its failing is critical."""

CULPRITS = 3
"""Operations that are named when an objective was missed."""


def add_findings(
    execution: Execution, assignment: Assignment, result: Result, judgement: Judgement
) -> None:
    """Add a finding for everything that failed, was throttled, is in doubt or was left out."""
    if result.lost:
        execution.finding(
            "a load generator was lost", result.lost, "critical", "generator",
            suggestion=result.hint,
        )  # fmt: skip
    for check in judgement.checks:
        if check.verdict is Verdict.FAIL:
            execution.finding(
                f"objective missed: {check.objective}", check.reason, "critical",
                suggestion=culprits(result, assignment.workload, check.objective.measure),
            )  # fmt: skip
    _doubts(execution, assignment, result)
    _failures(execution, result, result.response, "")
    _failures(execution, result, result.journeys, "journey ")
    _throttled(execution, result)
    for name in assignment.left_out:
        execution.finding(
            f"journey {name} was left out", "this CRM's connector cannot walk it", "info", name,
            suggestion="give the profile this power, or take the journey out of the workload",
        )  # fmt: skip


def _doubts(execution: Execution, assignment: Assignment, result: Result) -> None:
    if result.lost or not result.response.cells:
        return
    workload, measures = assignment.workload, execution.run.measures
    for doubt in instrument_doubts(result, workload, measures, assignment.settings):
        execution.finding(
            "the numbers are in doubt", doubt.reason, "warning", "generator",
            suggestion=doubt.suggestion,
        )  # fmt: skip


def culprits(result: Result, workload: Workload, measure: str) -> str:
    """Where to begin when an objective was missed: the operations that have the largest part."""
    stem, chosen = split(measure)
    if "operation" in chosen:
        return ""
    journeys = stem == "journey.failed.ratio"
    part = judged_part(result.journeys if journeys else result.response, workload, chosen)
    weights: dict[str, float] = {}
    for key, cell in part.cells.items():
        weight = _weight(stem, key, cell)
        weights[key.operation] = weights.get(key.operation, 0.0) + weight
    whole = sum(weights.values())
    worst = sorted((name for name in weights if weights[name]), key=lambda name: -weights[name])
    words = [f"{name} ({weights[name] / whole:.0%})" for name in worst[:CULPRITS]]
    return f"begin with {', '.join(words)} {_share_of(stem)}" if words else ""


def _weight(stem: str, key: Key, cell: Buckets) -> float:
    if stem.endswith("throttled.ratio"):
        return cell.count if key.outcome == THROTTLED else 0
    if stem.endswith(".ratio"):
        return 0 if key.outcome in NEUTRAL else cell.count
    return cell.total if key.outcome in ANSWERED else 0


def _share_of(stem: str) -> str:
    if stem.endswith("throttled.ratio"):
        return "of the throttled calls"
    return "of the failures" if stem.endswith(".ratio") else "of all the time waited"


def _failures(execution: Execution, result: Result, recording: Recording, kind: str) -> None:
    totals: dict[str, int] = {}
    failed: dict[tuple[str, str], int] = {}
    for key, cell in recording.cells.items():
        count = cell.count
        totals[key.operation] = totals.get(key.operation, 0) + count
        if key.outcome not in ("ok", "expected", THROTTLED):
            at = (key.operation, key.outcome)
            failed[at] = failed.get(at, 0) + count
    for (operation, outcome), count in sorted(failed.items(), key=lambda each: -each[1]):
        share = count / totals[operation]
        example = _example(result, f"{kind}{operation} {outcome}")
        advice = ADVICE.get(outcome, "")
        execution.finding(
            f"{kind}{operation}: {outcome} in {count} of {totals[operation]}",
            example,
            "critical" if share >= CRITICAL else "warning",
            operation,
            suggestion=advice,
        )


def _example(result: Result, kind: str) -> str:
    examples = result.examples.get(kind, [])
    if not examples:
        return ""
    first = examples[0]
    status = f"status {first['status']}" if first.get("status") else ""
    words = (status, str(first.get("code", "")), str(first.get("detail", "")))
    return "for example " + ", ".join(each for each in words if each) if any(words) else ""


def _throttled(execution: Execution, result: Result) -> None:
    part = result.response.where(_is_throttled)
    if part.cells:
        names = ", ".join(part.operations())
        execution.finding(
            f"the CRM throttled {part.counted()} calls",
            f"{names}; each was sent again after the time it asked for",
            "info",
            "limits",
            suggestion="raise the limit of these accounts, or ask for it in fewer calls",
        )


def _is_throttled(key: Key) -> bool:
    return key.outcome == THROTTLED
