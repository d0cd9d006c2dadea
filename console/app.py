"""The console: server-rendered pages for all four readers, each with a JSON twin."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from console import pages
from console.routes import add_evidence, add_pages
from console.settings import Settings
from console.words import choose_language
from crmops.config import Config
from crmops.errors import CrmopsError
from crmops.gate import Decision, Gates, decide
from crmops.history import History
from crmops.record import Kind, Run, utc_now

STATIC = Path(__file__).parent / "static"
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"


class _Expected(BaseModel):
    """What the overview wants to know of the section ``exporter``; the rest is that room's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Kind
    subject: str
    target: str = ""


class _Exporter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    expected: tuple[_Expected, ...] = ()


class Pages:
    """What the routes share: configuration, history, and the reader's language."""

    def __init__(self, config: Config, history: History) -> None:
        self.config = config
        self.history = history
        self.settings = config.parse("console", Settings)
        self.gates = config.parse("gates", Gates).root
        self.runbooks = {"en": _runbooks(), "zh": _runbooks("zh")}
        default = config.default_target
        self._expected = [
            (each.kind, each.target or default, each.subject)
            for each in config.parse("exporter", _Exporter).expected
        ]

    def answer(self, request: Request, template: str, data: Any, **facts: Any) -> Response:
        """The page, or with ``?format=json`` its twin."""
        if request.query_params.get("format") == "json":
            return JSONResponse(data)
        language = self.language(request)
        other = request.url.include_query_params(lang="en" if language == "zh" else "zh")
        html = pages.render(
            template,
            language,
            title=self.settings.title,
            gates=sorted(self.gates),
            path=request.url.path,
            other=f"{other.path}?{other.query}",
            **facts,
        )
        response = HTMLResponse(html, headers={"vary": "accept-language, cookie"})
        if request.query_params.get("lang"):
            response.set_cookie("lang", language, max_age=31_536_000, samesite="lax", httponly=True)
        return response

    def language(self, request: Request) -> str:
        """``en`` or ``zh``."""
        return choose_language(
            self.settings.language,
            request.query_params.get("lang") or request.cookies.get("lang", ""),
            request.headers.get("accept-language", ""),
        )

    def runbook(self, name: str, language: str) -> str:
        """A runbook's text, in English where it has no other; 404 for an unknown alert."""
        if name not in self.runbooks["en"]:
            raise HTTPException(404, f"there is no runbook {name}")
        return self.runbooks[language].get(name) or self.runbooks["en"][name]

    def run(self, run_id: str) -> Run:
        """A run, or 404."""
        found = self.history.get(run_id)
        if found is None:
            raise HTTPException(404, f"there is no run {run_id}")
        return found

    def decide(self, name: str) -> Decision:
        """What a gate says now."""
        gate = self.gates[name]
        target = gate.target or self.config.default_target
        return decide(self.history, name, gate, target, utc_now())

    def never(self) -> list[tuple[Kind, str, str]]:
        """What is expected and has never ended."""
        return [each for each in self._expected if self.history.latest(*each) is None]


def create_app(config: Config, history: History) -> FastAPI:
    """The application."""
    pages.preload()
    app = FastAPI(title="crmops console", docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    shared = Pages(config, history)
    add_pages(app, shared)
    add_evidence(app, shared)
    _add_refusals(app, shared)

    @app.middleware("http")
    async def headers(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers.setdefault("content-security-policy", POLICY)
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["referrer-policy"] = "no-referrer"
        return response

    return app


def _add_refusals(app: FastAPI, shared: Pages) -> None:
    """Whatever is refused is a page too, in the reader's language."""

    def refuse(request: Request, status: int, message: str) -> Response:
        data = {"error": message}
        response = shared.answer(request, "error.html", data, message=message, status=status)
        response.status_code = status
        return response

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return refuse(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def misunderstood(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return refuse(request, 400, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(CrmopsError)
    def broken(request: Request, error: CrmopsError) -> Response:
        return refuse(request, 503, f"{error}. {error.hint}")


def _runbooks(below: str = "") -> dict[str, str]:
    """Every runbook's text by its alert's name: data of the alerts' room, not its code."""
    folder = files("alerts").joinpath("runbooks", below)
    return {
        each.name.removesuffix(".md"): each.read_text(encoding="utf-8")
        for each in folder.iterdir()
        if each.name.endswith(".md")
    }
