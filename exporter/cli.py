"""``crmops exporter``: the metrics, printed or served."""

from __future__ import annotations

from typing import Annotated

import typer

from crmops.cli_support import JsonFlag, context, emit, note, table

app = typer.Typer(help="Metrics of every run for Prometheus.", no_args_is_help=True)


@app.command("show")
def show() -> None:
    """Print the metrics once, as a scrape would see them."""
    import sys

    from prometheus_client import CollectorRegistry, generate_latest

    from exporter.app import build_collector

    ctx = context()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(build_collector(ctx.config, ctx.history))
    sys.stdout.write(generate_latest(registry).decode())


@app.command("metrics")
def metrics(as_json: JsonFlag = False) -> None:
    """Every metric there is: name, type, labels, meaning."""
    from exporter.catalogue import CATALOGUE

    rows = [(m.name, m.type, ", ".join(m.labels), m.help) for m in CATALOGUE]
    payload = {
        "metrics": [
            {"name": m.name, "type": m.type, "labels": list(m.labels), "help": m.help}
            for m in CATALOGUE
        ]
    }
    emit(
        payload,
        as_json=as_json,
        table=lambda: table("metrics", ("metric", "type", "labels", "meaning"), rows),
    )


@app.command("serve")
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 9464,
) -> None:
    """Serve the metrics alone, without scheduler and console."""
    from crmops.web import Serving, serve_app
    from exporter.app import create_app

    ctx = context()
    application = create_app(ctx.config, ctx.history)
    note(f"metrics of {ctx.config.path}")
    serve_app(application, Serving(host=host, port=port, owned=[ctx.config.state_dir]))
