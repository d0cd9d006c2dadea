"""``crmops serve``: scheduler, exporter, alert receiver and console in one process."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crmops.cli_support import context, note

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")

ROUTES: tuple[tuple[str, str], ...] = (
    ("/metrics", "exporter.app"),
    ("/api/v1/alerts", "alerts.receiver"),
    ("/api/v1/duplicates", "dq_checks.duplicates.entry"),
    ("/", "console.app"),
)
"""Path prefix and the room's module that answers below it, by its ``create_app``; first fit."""


def compose(mounted: list[tuple[str, App]]) -> App:
    """One application that sends each request to the first whose prefix fits."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path = scope["path"]
        for prefix, app in mounted:
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                await app(scope, receive, send)
                return

    return application


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 9464,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written when ready: a JSON object with url and pid.")
    ] = None,
    scheduler: Annotated[bool, typer.Option(help="Also walk the probes and the schedule.")] = True,
) -> None:
    """Scheduler, exporter, alert receiver and console in one process, until Ctrl-C."""
    from crmops.schedule import Scheduler
    from crmops.web import Serving, serve_app

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    ctx = context()
    config, history = ctx.config, ctx.history
    history.reap()
    mounted = [
        (prefix, importlib.import_module(module).create_app(config, history))
        for prefix, module in ROUTES
    ]
    schedule = Scheduler(config, history, _ourselves(ctx.overrides))
    workers: list[Any] = [importlib.import_module("probes.scheduler").Scheduler(config, history)]
    workers.append(schedule)
    ctx.warn()
    if host not in LOOPBACK:
        note(f"warning: whoever reaches {host} can read the history and report alerts", always=True)
    serving = Serving(
        host=host,
        port=port,
        owned=[config.state_dir],
        ready_file=ready_file,
        inherit=scheduler and bool(schedule.settings.entries),
        workers=workers if scheduler else (),
        started=lambda url: note(f"crmops serves {config.path} at {url} (Ctrl-C stops it)"),
    )
    serve_app(compose(mounted), serving)


def _ourselves(overrides: Mapping[str, str]) -> list[str]:
    """The command that starts crmops as we were started."""
    flags = [part for name, value in overrides.items() for part in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "crmops", *flags]
