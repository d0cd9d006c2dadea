"""What the server did in the slowest requests, by its own account: the trace ids lead there."""

from __future__ import annotations

from typing import Any

from crmops.connectors import connect
from crmops.connectors.base import Span, Spans
from crmops.errors import CrmopsError
from crmops.execute import Execution
from crmops.outcome import CallFailed
from crmops.target import Target
from crmops.units import human_value
from loadtests.result import Result
from loadtests.tidy import logged_in

NAMED = 3
"""Operations whose slowest request becomes a finding."""


def look_up_spans(target: Target, result: Result) -> None:
    """Add to the slowest requests what the server has kept of them, under ``server``.

    Nothing is added where the connector has no such power, or the target's login may not look:
    the run is worth the same without it.
    """
    hopeless = result.lost or result.killed_by_switch or not result.slowest
    if hopeless or not isinstance(connect(target), Spans):
        return
    try:
        with logged_in(target) as crm:
            for each in result.slowest:
                spans = crm.spans(each["trace"])
                if spans:
                    each["server"] = _plain(max(spans, key=lambda span: span.seconds))
    except (CrmopsError, CallFailed) as problem:
        result.spans_problem = str(problem)


def _plain(span: Span) -> dict[str, Any]:
    return {
        "span": span.name,
        "seconds": round(span.seconds, 6),
        "database_calls": span.database_calls,
        "database_seconds": span.database_seconds,
    }


def span_findings(execution: Execution, result: Result) -> None:
    """A finding for the slowest request of each operation of which the server kept a span."""
    seen: set[str] = set()
    for each in result.slowest:
        operation, span = each["operation"], each.get("server")
        if span is None or operation in seen or len(seen) == NAMED:
            continue
        seen.add(operation)
        took = human_value(each["seconds"], "seconds")
        execution.finding(
            f"slowest {operation}: {took}, of it {human_value(span['seconds'], 'seconds')} in "
            f"{span['span']}",
            f"{_where(span)}; trace {each['trace']}",
            "info",
            operation,
            suggestion=_advice(span),
        )
    if result.spans_problem:
        execution.finding(
            "the server's spans were not read", result.spans_problem, "info", "trace",
            suggestion="give the target a login that may read them",
        )  # fmt: skip


def _where(span: dict[str, Any]) -> str:
    if span["database_seconds"] is None:
        return "how long the database took is not known"
    spent = human_value(span["database_seconds"], "seconds")
    return f"{span['database_calls']} database calls took {spent}"


def _advice(span: dict[str, Any]) -> str:
    if span["database_seconds"] is None:
        return "follow the trace in the server's own tracing"
    share = span["database_seconds"] / span["seconds"] if span["seconds"] else 0.0
    return "look at its queries" if share >= 0.5 else "the time goes elsewhere in the server"
