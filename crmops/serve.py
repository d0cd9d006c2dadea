"""``crmops serve``: scheduler, exporter, alert receiver and console in one process."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from crmops.cli_support import context, note

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

ROUTES: tuple[tuple[str, str], ...] = (
    ("/metrics", "exporter.app"),
    ("/api/v1/alerts", "alerts.receiver"),
    ("/", "console.app"),
)
"""Path prefix and the room's module that answers below it, by its ``create_app``; first fit."""


def compose(mounted: list[tuple[str, App]]) -> App:
    """One application that sends each request to the first whose prefix fits."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path = scope["path"]
        for prefix, app in mounted:
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                await app(scope, receive, send)
                return

    return application


async def _lifespan(receive: Any, send: Any) -> None:  # noqa: ANN401
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
    from crmops.web import serve_app

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    ctx = context()
    config, history = ctx.config, ctx.history
    history.reap()
    mounted = [
        (prefix, importlib.import_module(module).create_app(config, history))
        for prefix, module in ROUTES
    ]
    workers: list[Any] = []
    if scheduler:
        workers.append(importlib.import_module("probes.scheduler").Scheduler(config, history))

    def started(url: str) -> None:
        note(f"crmops serves {config.path} at {url} (Ctrl-C stops it)")
        for each in workers:
            each.start()

    def stopped() -> None:
        for each in workers:
            each.stop()

    serve_app(
        compose(mounted),
        host=host,
        port=port,
        owned=[config.state_dir],
        ready_file=ready_file,
        before=started,
        after=stopped,
    )
