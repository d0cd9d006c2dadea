"""The exporter as an ASGI application: ``GET /metrics`` and nothing else."""

from __future__ import annotations

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, ConfigDict

from crmops.config import Config
from crmops.history import History
from crmops.units import Seconds
from exporter.collect import Collector, DrillPlan, ProbePlan
from exporter.settings import Settings


class _Probe(BaseModel):
    """What the exporter wants to know of a configured probe; the rest is the probes' own."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    journey: str
    target: str = ""
    limit: Seconds = 5.0
    every: Seconds = 15.0


class _Probes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    probes: tuple[_Probe, ...] = ()


class _Calendar(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    every: Seconds = 92 * 86400.0


class _Drills(BaseModel):
    """What the exporter wants to know of the drills; the rest is their own."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    calendar: _Calendar | None = None


def build_collector(config: Config, history: History) -> Collector:
    """A collector that knows what the configuration expects.  Raises ConfigError."""
    default = config.default_target
    probes = [
        ProbePlan(each.target or default, each.journey, each.limit, each.every)
        for each in config.parse("probes", _Probes).probes
    ]
    expected = [
        each if each.target else each.model_copy(update={"target": default})
        for each in config.parse("exporter", Settings).expected
    ]
    calendar = config.parse("drills", _Drills).calendar
    drills = [
        DrillPlan(name, calendar.every)
        for name, target in config.targets.items()
        if calendar is not None and target.database is not None
    ]
    return Collector(history, probes, expected, drills)


def create_app(config: Config, history: History) -> FastAPI:
    """The application, with a registry of its own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(build_collector(config, history))
    app = FastAPI(title="crmops exporter", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        text = await anyio.to_thread.run_sync(encode, registry)
        return Response(text, media_type=content_type)

    return app
