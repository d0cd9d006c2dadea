"""The report of a load test: one HTML file that asks the network for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crmops.units import human_value
from loadtests.charts import Line, heatmap, line_chart
from loadtests.recording import THROTTLED, Recording

KINDS = "abcdef"
"""Looks of the lines of a chart; no more series of a query are drawn."""

TEMPLATES = Path(__file__).parent / "templates"


def render(document: dict[str, Any]) -> str:
    """The report of a result document (see :func:`loadtests.evidence.as_document`)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["human"] = human_value
    service = Recording.unpack(document["service"])
    return environment.get_template("report.html.j2").render(
        document=document,
        tables=tables(document),
        service=by(service, "operation"),
        steps=steps(document),
        health=health(document),
        charts=[*charts(document["seconds"]), *figures(document.get("prometheus"))],
        silent=[
            each for each in document.get("prometheus", {}).get("queries", ()) if not each["series"]
        ],
        heat=heatmap(document["seconds"]),
    )


def tables(document: dict[str, Any]) -> tuple[tuple[str, str, list[dict[str, Any]]], ...]:
    """The tables of the report: title, label of the first column, rows."""
    response = Recording.unpack(document["response"])
    journeys = Recording.unpack(document["journey_times"])
    return (
        ("Operations", "operation", by(response, "operation")),
        ("Phases", "phase", by(response, "phase")),
        ("Roles", "role", by(response, "role")),
        ("Journeys (time in calls)", "journey", by(journeys, "operation")),
    )


def by(recording: Recording, label: str) -> list[dict[str, Any]]:
    """A row of numbers for each operation, phase or role."""
    parts: dict[str, Recording] = {}
    for key, cell in sorted(recording.cells.items()):
        parts.setdefault(getattr(key, label), Recording()).cells[key] = cell
    return [{"name": name, **_row(part)} for name, part in parts.items()]


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The phases with what the people in them saw."""
    seen = {row["name"]: row for row in by(Recording.unpack(document["response"]), "phase")}
    nothing = _row(Recording())
    return [{**seen.get(each["name"], nothing), **each} for each in document["phases"]]


def health(document: dict[str, Any]) -> list[dict[str, Any]]:
    """How the generators were: what was measured, and from where on nothing is believed."""
    found = {each["name"]: each for each in document["measures"]}
    limits = document["settings"].get("instrument", {})
    bounds = (
        ("instrument.loop_lag.p99", "event loop's lag, p99", "<=", limits.get("loop_lag")),
        ("instrument.cpu.ratio", "CPU of the busiest, of one core", "<=", limits.get("cpu")),
        ("instrument.sent.ratio", "calls that left on time", ">=", limits.get("sent")),
        ("instrument.held", "calls held back by the rate cap", "<=", 0),
        ("instrument.rss", "memory of all", "", None),
    )
    return [
        {**found[name], "what": what, "op": op, "limit": limit}
        for name, what, op, limit in bounds
        if name in found
    ]


def figures(snapshot: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A chart for each query of Prometheus that has series: those that reach highest."""
    found = []
    for each in (snapshot or {}).get("queries", ()):
        step = snapshot["step"] if snapshot else 1
        lines = [
            Line(_labels(series["labels"]) or each["name"], kind, series["values"])
            for kind, series in zip(KINDS, each["series"], strict=False)
        ]
        if lines:
            at = [step * moment for moment in range(len(lines[0].values))]
            more = each["left_off"] + len(each["series"]) - len(lines)
            chart = {"chart": line_chart(lines, at), "note": each["query"], "more": more}
            found.append({"title": f"Prometheus: {each['name']}", **chart})
    return found


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in labels.items())


def _row(part: Recording) -> dict[str, Any]:
    answered, calls = part.answered(), part.counted()
    return {
        "calls": calls,
        "failed": part.failed(),
        "error_ratio": part.failed() / calls if calls else None,
        "throttled": part.counted((THROTTLED,)),
        "p50": answered.percentile(0.5),
        "p95": answered.percentile(0.95),
        "p99": answered.percentile(0.99),
        "max": answered.maximum(),
    }


def charts(seconds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The charts of the report: a title, and what :func:`loadtests.charts.line_chart` makes."""
    at = [each["at"] for each in seconds]

    def values(name: str) -> list[float | None]:
        return [each[name] for each in seconds]

    times = [Line("p50", "a", values("p50")), Line("p95", "b", values("p95"))]
    times.append(Line("p99", "c", values("p99")))
    rates = [Line("requests", "a", values("requests")), Line("failed", "c", values("failed"))]
    people = [Line("present", "a", values("users")), Line("logged in", "b", values("logged_in"))]
    health = [Line("loop lag p99, s", "b", values("lag")), Line("CPU, cores", "a", values("cpu"))]
    return [
        {"title": "Response time, seconds", "chart": line_chart(times, at, logarithmic=True)},
        {"title": "Requests a second", "chart": line_chart(rates, at)},
        {"title": "People", "chart": line_chart(people, at)},
        {"title": "The generator itself", "chart": line_chart(health, at)},
    ]
