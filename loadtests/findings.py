"""What a person must act on after a load test."""

from __future__ import annotations

from crmops.execute import Execution
from crmops.record import Verdict
from crmops.verdict import Judgement
from loadtests.recording import THROTTLED, Key, Recording
from loadtests.result import Result

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


def add_findings(
    execution: Execution, result: Result, left_out: tuple[str, ...], judgement: Judgement
) -> None:
    """Add a finding for everything that failed, was throttled or was left out."""
    if result.lost:
        execution.finding("a load generator was lost", result.hint or result.lost, "critical")
    for check in judgement.checks:
        if check.verdict is Verdict.FAIL:
            execution.finding(f"objective missed: {check.objective}", check.reason, "critical")
    _failures(execution, result, result.response, "")
    _failures(execution, result, result.journeys, "journey ")
    _throttled(execution, result)
    for name in left_out:
        execution.finding(
            f"journey {name} was left out", "this CRM's connector cannot walk it", "info", name
        )


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
            "; ".join(each for each in (example, advice) if each),
            "critical" if share >= CRITICAL else "warning",
            operation,
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
        )


def _is_throttled(key: Key) -> bool:
    return key.outcome == THROTTLED
