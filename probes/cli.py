"""``crmops probe``: journeys as probes, once or on a schedule."""

from __future__ import annotations

from typing import Annotated

import typer

from crmops.cli_support import (
    JsonFlag,
    TargetOption,
    context,
    emit,
    exit_with,
    table,
    verdict_text,
)
from crmops.record import Run
from crmops.units import human_value

app = typer.Typer(help="Walk journeys as probes, once or on a schedule.", no_args_is_help=True)

DEFAULT_LIMIT = 5.0


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="The journey to walk.")],
    target: TargetOption = "",
    limit: Annotated[
        float, typer.Option(help="Seconds that the walk may take; 0: as configured.")
    ] = 0.0,
    as_json: JsonFlag = False,
) -> None:
    """Walk one journey once, record it and say how it went."""
    from probes.run import run_probe
    from probes.settings import Settings

    ctx = context()
    which = ctx.target(target)
    settings = ctx.config.parse("probes", Settings)
    known = next((p.limit for p in settings.probes if p.journey == name), DEFAULT_LIMIT)
    ran = run_probe(which, name, ctx.history, limit=limit or known, config_digest=ctx.config.digest)
    emit(ran.dump(), as_json=as_json, table=lambda: _table(ran))
    exit_with(ran.verdict)


@app.command("list")
def list_(
    as_json: JsonFlag = False,
) -> None:
    """The journeys there are and what they do."""
    from crmops.journeys import journeys

    known = sorted(journeys().values(), key=lambda each: each.name)
    rows = [(j.name, j.summary, ", ".join(j.steps), "yes" if j.writes else "no") for j in known]
    payload = {
        "journeys": [
            {"name": j.name, "summary": j.summary, "steps": list(j.steps), "writes": j.writes}
            for j in known
        ]
    }
    emit(
        payload,
        as_json=as_json,
        table=lambda: table("journeys", ("journey", "what", "steps", "writes"), rows),
    )


def _table(ran: Run) -> object:
    from rich.console import Group
    from rich.text import Text

    rows = [(m.name, human_value(m.value, m.unit), str(m.observed)) for m in ran.measures]
    said = verdict_text(ran.verdict)
    said.append(f" probe {ran.subject} on {ran.target}: {ran.reason}")
    left = [Text(f"{each.title}: {each.detail}") for each in ran.findings]
    return Group(said, *left, table("", ("measure", "value", "samples"), rows))
