"""What a run leaves behind: result.json with every bucket, and the report."""

from __future__ import annotations

import json
from typing import Any

from crmops.execute import Execution
from crmops.verdict import Judgement
from loadtests.assignment import Assignment
from loadtests.exports import as_csv, as_junit
from loadtests.hlog import as_hlog
from loadtests.report import render, tables
from loadtests.result import Result, Second

FORMAT = 1
"""Version of result.json."""

RESULT, REPORT = "result.json", "report.html"
TABLES, JUNIT, HLOG = "tables.csv", "junit.xml", "response.hlog"


def attach_evidence(
    execution: Execution, assignment: Assignment, result: Result, judgement: Judgement
) -> None:
    """Attach the result with every bucket, the report, and what other programs read."""
    document = as_document(execution, assignment, result, judgement)
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
        "settings": settings.model_dump(mode="json", exclude={"workloads", "allowed_hosts"}),
        "measures": [each.model_dump(mode="json") for each in run.measures],
        "checks": [each.model_dump(mode="json") for each in judgement.checks],
        "findings": [each.model_dump(mode="json") for each in run.findings],
        "seconds": [_second(each) for each in result.timeline()],
        "response": result.response.pack(),
        "service": result.service.pack(),
        "wait": result.wait.pack(),
        "journey_times": result.journeys.pack(),
        "counts": dict(sorted(result.counts.items())),
        "examples": [each for kept in result.examples.values() for each in kept],
        "slowest": result.slowest,
        "generators": {
            "resident_bytes": list(result.rss.values()),
            "descriptors": list(result.descriptors.values()),
            "descriptor_limit": result.descriptor_limit,
            "clock_step": result.clock_step,
            "incidents": result.incidents,
        },
    }  # fmt: skip


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
