"""The console: server-rendered pages for all four readers, each with a JSON twin."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from console import pages
from console.settings import Settings
from console.words import choose_language
from crmops.config import Config
from crmops.gate import Decision, Gates, decide
from crmops.history import History
from crmops.record import Kind, Run, utc_now

STATIC = Path(__file__).parent / "static"
SHOWN = 200
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:"
)
"""An evidence file was made by a run: it is shown, but may neither call out nor touch the page."""
TYPES = {".html": "text/html", ".json": "application/json", ".svg": "image/svg+xml"}


class Pages:
    """What the routes share: configuration, history, and the reader's language."""

    def __init__(self, config: Config, history: History) -> None:
        self.config = config
        self.history = history
        self.settings = config.parse("console", Settings)
        self.gates = config.parse("gates", Gates).root
        self.runbooks = _runbooks()

    def answer(self, request: Request, template: str, data: Any, **facts: Any) -> Response:
        """The page, or with ``?format=json`` its twin."""
        if request.query_params.get("format") == "json":
            return JSONResponse(data)
        language = choose_language(
            self.settings.language,
            request.query_params.get("lang") or request.cookies.get("lang", ""),
            request.headers.get("accept-language", ""),
        )
        html = pages.render(
            template,
            language,
            title=self.settings.title,
            gates=sorted(self.gates),
            path=request.url.path,
            **facts,
        )
        response = HTMLResponse(html)
        if request.query_params.get("lang"):
            response.set_cookie("lang", language, max_age=31_536_000, samesite="lax")
        return response

    def run(self, run_id: str) -> Run:
        """A run, or 404."""
        found = self.history.get(run_id)
        if found is None:
            raise HTTPException(404, f"there is no run {run_id}")
        return found


def create_app(config: Config, history: History) -> FastAPI:
    """The application."""
    pages.preload()
    app = FastAPI(title="crmops console", docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    shared = Pages(config, history)
    _add_pages(app, shared)
    _add_evidence(app, shared)

    @app.middleware("http")
    async def headers(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers.setdefault("content-security-policy", POLICY)
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["referrer-policy"] = "no-referrer"
        return response

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        data = {"error": error.detail}
        response = shared.answer(request, "error.html", data, message=error.detail)
        response.status_code = error.status_code
        return response

    return app


def _add_pages(app: FastAPI, shared: Pages) -> None:
    history = shared.history

    @app.get("/")
    def overview(request: Request) -> Response:
        runs = [r for r in history.find(finished=True, limit=2000) if r.kind is not Kind.GATE]
        newest = pages.newest_of_each(runs)
        live = history.live()
        data = {
            "newest": [each.dump() for each in newest],
            "live": [each.run.dump() for each in live],
        }
        decisions = [_decide(shared, name) for name in sorted(shared.gates)]
        return shared.answer(
            request, "overview.html", data, newest=newest, live=live, decisions=decisions
        )

    @app.get("/launch/{name}")
    def launch(request: Request, name: str) -> Response:
        if name not in shared.gates:
            raise HTTPException(404, f"there is no gate {name}")
        decision = _decide(shared, name)
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
        return shared.answer(
            request, "runs.html", data, runs=found, kinds=list(Kind), kind=kind, subject=subject
        )

    @app.get("/runs/{run_id}")
    def run(request: Request, run_id: str) -> Response:
        found = shared.run(run_id)
        intact = {each.path: history.files.intact(each) for each in found.evidence}
        data = {**found.dump(), "intact": intact}
        return shared.answer(request, "run.html", data, run=found, intact=intact)

    @app.get("/runbooks/{name}")
    def runbook(request: Request, name: str) -> Response:
        if name not in shared.runbooks:
            raise HTTPException(404, f"there is no runbook {name}")
        text = shared.runbooks[name]
        fired = history.find(Kind.ALERT, subject=name, limit=10)
        data = {"name": name, "text": text}
        return shared.answer(
            request, "runbook.html", data, name=name, text=pages.markdown(text), fired=fired
        )

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}


def _add_evidence(app: FastAPI, shared: Pages) -> None:
    @app.get("/runs/{run_id}/files/{name}")
    def evidence(run_id: str, name: str) -> Response:
        run = shared.run(run_id)
        wanted = next((e for e in run.evidence if e.path == f"{run_id}/{name}"), None)
        if wanted is None:
            raise HTTPException(404, f"run {run_id} has no file {name}")
        if not shared.history.files.intact(wanted):
            raise HTTPException(410, f"file {name} is gone or was changed: it proves nothing")
        path = shared.history.files.path(wanted)
        kind = TYPES.get(path.suffix, "text/plain")
        headers = {"content-security-policy": REPORT_POLICY}
        return Response(path.read_bytes(), media_type=f"{kind}; charset=utf-8", headers=headers)


def _decide(shared: Pages, name: str) -> Decision:
    gate = shared.gates[name]
    target = gate.target or shared.config.default_target
    return decide(shared.history, name, gate, target, utc_now())


def _runbooks() -> dict[str, str]:
    """Every runbook's text by its alert's name: data of the alerts' room, not its code."""
    folder = files("alerts") / "runbooks"
    return {
        each.name.removesuffix(".md"): each.read_text(encoding="utf-8")
        for each in folder.iterdir()
        if each.name.endswith(".md")
    }
