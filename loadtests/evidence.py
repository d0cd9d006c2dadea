"""What a run leaves behind: result.json with every bucket, and the report."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from crmops.execute import Execution
from crmops.verdict import Judgement
from loadtests.assignment import Assignment
from loadtests.exports import as_csv, as_junit
from loadtests.hlog import as_hlog
from loadtests.prometheus import Snapshot
from loadtests.recording import Key
from loadtests.report import render, tables
from loadtests.result import PhaseHealth, Result, Second
from loadtests.workload import Workload

FORMAT = 1
"""Version of result.json."""

RESULT, REPORT = "result.json", "report.html"
PROMETHEUS = "prometheus.json"
HIDDEN = {"workloads", "allowed_hosts", "prometheus", "distributed"}
"""Settings that are no business of a report's readers: paths and addresses."""

TABLES, JUNIT, HLOG = "tables.csv", "junit.xml", "response.hlog"


def attach_evidence(
    execution: Execution,
    assignment: Assignment,
    result: Result,
    judgement: Judgement,
    snapshot: Snapshot | None = None,
) -> None:
    """Attach the result with every bucket, the report, and what other programs read."""
    document = as_document(execution, assignment, result, judgement)
    if snapshot is not None:
        document["prometheus"] = snapshot.document()
        execution.attach(PROMETHEUS, json.dumps(document["prometheus"], ensure_ascii=False))
    execution.attach(RESULT, json.dumps(document, ensure_ascii=False, separators=(",", ":")))
    execution.attach(REPORT, render(document))
    execution.attach(TABLES, as_csv(tables(document)))
    execution.attach(JUNIT, as_junit(document))
    execution.attach(HLOG, as_hlog(result.response, execution.run.begun, result.elapsed))


def as_document(
    execution: Execution, assignment: Assignment, result: Result, judgement: Judgement
) -> dict[str, Any]:
    """Everything about a run as plain data.  Holds no login, no secret and no record."""
    run, target, settings = execution.run, assignment.target, assignment.settings
    return {
        "format": FORMAT,
        "run": {
            "id": run.id,
            "target": run.target,
            "subject": run.subject,
            "begun": run.begun.isoformat(),
            "verdict": judgement.verdict.value,
            "reason": judgement.reason,
            "config_digest": run.config_digest,
            "tool_versions": run.tool_versions,
        },
        "target": {
            "name": target.name, "connector": target.connector, "environment": target.environment,
        },
        "workload": assignment.workload.model_dump(mode="json"),
        "journeys": assignment.journeys,
        "settings": settings.model_dump(mode="json", exclude=HIDDEN),
        "measures": [each.model_dump(mode="json") for each in run.measures],
        "checks": [each.model_dump(mode="json") for each in judgement.checks],
        "findings": [each.model_dump(mode="json") for each in run.findings],
        **_volume(result),
        "phases": _phases(assignment.workload, result),
        "seconds": [_second(each) for each in result.timeline()],
        "response": result.response.pack(),
        "service": result.service.pack(),
        "wait": result.wait.pack(),
        "journey_times": result.journeys.pack(),
        "counts": dict(sorted(result.counts.items())),
        "examples": [each for kept in result.examples.values() for each in kept],
        "slowest": result.slowest,
        "generators": {
            "workers": sorted(result.rss),
            "resident_bytes": [result.rss[each] for each in sorted(result.rss)],
            "descriptors": [result.descriptors[each] for each in sorted(result.rss)],
            "descriptor_limit": result.descriptor_limit,
            "clock_step": result.clock_step,
            "incidents": result.incidents,
        },
    }  # fmt: skip


def _volume(result: Result) -> dict[str, Any]:
    """How much data the CRM held; absent if that is not known, and then why."""
    if result.volume:
        return {"data_volume": result.volume}
    return {"data_volume_unknown": result.volume_problem or "nobody looked"}


def _phases(workload: Workload, result: Result) -> list[dict[str, Any]]:
    """Each step of the run: how long it lasted, who was there, what they sent, and how the
    generators were.  A call belongs to the step in which it began.
    """
    found, begins = [], 0.0
    for phase in workload.phases:
        ends = begins + phase.seconds
        lasted = max(min(result.elapsed, ends) - begins, 0.0)
        seconds = [each for each in result.timeline() if each.phase == phase.name]
        calls = result.response.where(partial(_began_in, phase.name)).counted()
        health = result.health.get(phase.name, PhaseHealth())
        found.append(
            {
                "name": phase.name,
                "judged": phase.judged,
                "seconds": round(lasted, 1),
                "users": max((each.users for each in seconds), default=0),
                "requests": calls,
                "rate": calls / lasted if lasted else None,
                "lag": health.lag.percentile(0.99),
                "cpu": health.busiest(),
            }
        )
        begins = ends
    return found


def _began_in(phase: str, key: Key) -> bool:
    return key.phase == phase


def _second(second: Second) -> dict[str, Any]:
    return {
        "at": second.at,
        "phase": second.phase,
        "users": second.users,
        "roles": dict(sorted(second.roles.items())),
        "logged_in": sum(second.logged_in.values()),
        "requests": second.requests,
        "failed": second.failed,
        "outcomes": dict(second.outcomes),
        "p50": second.response.percentile(0.50),
        "p95": second.response.percentile(0.95),
        "p99": second.response.percentile(0.99),
        "max": second.response.maximum(),
        "response": second.response.pack(),
        "lag": second.lag.percentile(0.99),
        "cpu": round(second.cpu, 4),
        "queued": second.queued,
    }
