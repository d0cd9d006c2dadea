"""The report of a load test: one HTML file that asks the network for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadtests.recording import Recording

TEMPLATES = Path(__file__).parent / "templates"


def render(document: dict[str, Any]) -> str:
    """The report of a result document (see :func:`loadtests.evidence.as_document`)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("report.html.j2")
    return template.render(document=document, operations=operations(document))


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each operation."""
    recording = Recording.unpack(document["response"])
    rows = []
    for name in recording.operations():
        part = recording.where(lambda key, name=name: key.operation == name)  # type: ignore[misc]
        answered = part.answered()
        rows.append(
            {
                "operation": name,
                "calls": part.counted(),
                "failed": part.failed(),
                "throttled": part.counted(("throttled",)),
                "p50": answered.percentile(0.5),
                "p95": answered.percentile(0.95),
                "p99": answered.percentile(0.99),
                "max": answered.maximum(),
            }
        )
    return rows
