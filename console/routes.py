"""The pages by their addresses.  Addresses never change: people keep them in tickets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from starlette.exceptions import HTTPException

from console import pages, views
from crmops.firing import firing
from crmops.record import Evidence, Kind, Run

if TYPE_CHECKING:
    from console.app import Pages

SHOWN = 200
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:"
)
"""An evidence file was made by a run: it is shown, but may neither call out nor touch the page."""

TYPES = {
    ".html": "text/html",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".csv": "text/csv",
}
SAVED = frozenset({".csv", ".xlsx"})
"""Files that a spreadsheet opens, not the browser."""


def add_pages(app: FastAPI, shared: Pages) -> None:
    """Overview, gates, runs and runbooks."""
    history = shared.history

    @app.get("/")
    def overview(request: Request) -> Response:
        return _overview(request, shared)

    @app.get("/launch/{name}")
    def launch(request: Request, name: str) -> Response:
        if name not in shared.gates:
            raise HTTPException(404, f"there is no gate {name}")
        decision = shared.decide(name)
        past = history.find(Kind.GATE, subject=name, finished=True, limit=10)
        data = {"decision": decision.word, "reason": decision.reason}
        data |= decision.model_dump(mode="json")
        return shared.answer(request, "launch.html", data, decision=decision, past=past)

    @app.get("/runs")
    def runs(
        request: Request,
        kind: Annotated[Kind | None, Query()] = None,
        subject: str = "",
        target: str = "",
    ) -> Response:
        found = history.find(kind, target or None, subject or None, limit=SHOWN)
        data = {"runs": [each.dump() for each in found]}
        facts = {"kinds": list(Kind), "kind": kind, "subject": subject, "shown": SHOWN}
        return shared.answer(request, "runs.html", data, runs=found, **facts)

    @app.get("/runs/{run_id}")
    def run(request: Request, run_id: str) -> Response:
        return _run(request, shared, shared.run(run_id))

    @app.get("/runbooks/{name}")
    def runbook(request: Request, name: str) -> Response:
        text = shared.runbook(name, shared.language(request))
        fired = history.find(Kind.ALERT, subject=name, limit=10)
        data = {"name": name, "text": text, "runs": [each.dump() for each in fired]}
        facts = {
            "text": pages.markdown(text),
            "fired": fired,
            "now_firing": firing(history, alert=name),
        }
        return shared.answer(request, "runbook.html", data, name=name, **facts)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}


def _overview(request: Request, shared: Pages) -> Response:
    history = shared.history
    newest = views.newest_of_each(history)
    decisions = [shared.decide(name) for name in sorted(shared.gates)]
    facts: dict[str, Any] = {
        "newest": [each for each in newest if each.kind is not Kind.PROBE],
        "walks": [views.walks_of(history, each) for each in newest if each.kind is Kind.PROBE],
        "decisions": decisions,
        "live": history.live(),
        "alarms": firing(history),
        "heard": bool(history.find(Kind.ALERT, limit=1)),
        "overdue": views.overdue(decisions, shared.never()),
        "runbooks": shared.runbooks["en"],
    }
    data = {
        "newest": [each.dump() for each in newest],
        "live": [each.run.dump() for each in facts["live"]],
        "gates": {each.gate: each.word for each in decisions},
        "firing": [each.dump() for each in facts["alarms"]],
        "overdue": [each.dump() for each in facts["overdue"]],
    }
    return shared.answer(request, "overview.html", data, **facts)


def _run(request: Request, shared: Pages, run: Run) -> Response:
    history = shared.history
    intact = {each.path: history.files.intact(each) for each in run.evidence}
    live = next((each for each in history.live() if each.run.id == run.id), None)
    measures = live.measures if live else run.measures
    columns, rows, rest = views.pivot(measures)
    facts = {
        "intact": intact,
        "columns": columns,
        "rows": rows,
        "rest": rest,
        "so_far": views.so_far(measures) if live else None,
        "beat": live.beat_at if live else None,
        "past": views.past(history, run) if run.ended else [],
        "walks": views.walks_of(history, run) if run.kind is Kind.PROBE else None,
        "seconds": views.timeline(history, run),
        "runbook": run.subject
        if run.kind is Kind.ALERT and run.subject in shared.runbooks["en"]
        else "",
    }
    data = {**run.dump(), "intact": intact, "so_far": facts["so_far"]}
    return shared.answer(request, "run.html", data, run=run, **facts)


def add_evidence(app: FastAPI, shared: Pages) -> None:
    """The files of runs, as long as they are what the record says."""

    @app.get("/runs/{run_id}/files/{name}")
    def evidence(run_id: str, name: str) -> Response:
        run = shared.run(run_id)
        wanted = next((e for e in run.evidence if e.path == f"{run_id}/{name}"), None)
        if wanted is None:
            raise HTTPException(404, f"run {run_id} has no file {name}")
        content = _whole(shared, wanted)
        if content is None:
            raise HTTPException(410, f"file {name} is gone or was changed: it proves nothing")
        suffix = shared.history.files.path(wanted).suffix
        headers = {"content-security-policy": REPORT_POLICY}
        if suffix in SAVED:
            headers["content-disposition"] = f'attachment; filename="{name}"'
        kind = f"{TYPES.get(suffix, 'text/plain')}; charset=utf-8"
        return Response(content, media_type=kind, headers=headers)


def _whole(shared: Pages, wanted: Evidence) -> bytes | None:
    """The very bytes whose hash was taken, or None."""
    try:
        content = shared.history.files.path(wanted).read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == wanted.sha256 else None
