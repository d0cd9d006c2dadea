"""``crmops demo``: rehearse a whole launch on a real CRM and say go or no-go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from crmops.cli_support import exit_with
from crmops.errors import UsageError

SKIPPABLE = ("load", "audit", "backup", "drill", "alert")


def demo(
    exit_: Annotated[
        bool, typer.Option("--exit", help="End after the table, with the gate's exit code.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Rehearse on this .csv or .xlsx file.")
    ] = None,
    entity: Annotated[
        str, typer.Option(help="What the file holds: account or contact.")
    ] = "account",
    maps: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="Repeatable.")
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="STAGE", help="Leave a stage out; the gate will miss it."),
    ] = None,
) -> None:
    """Rehearse a whole launch on a real CRM: load, probes, audit, backup, drill, alert, gate.

    Everything runs on this machine and stops with Ctrl-C; the evidence stays below .crmops/demo.
    """
    from crmops.demo.data import read_own_data
    from crmops.demo.place import rehearsal_place
    from crmops.demo.rehearse import rehearse

    skipped = tuple(skip or ())
    for each in skipped:
        if each not in SKIPPABLE:
            raise UsageError(f"there is no stage {each!r}", hint=f"Stages: {', '.join(SKIPPABLE)}.")
    if (maps or entity != "account") and data is None:
        raise UsageError("--map and --entity say what a --data file holds", hint="Give --data.")
    own = read_own_data(data, entity, maps or ()) if data else None
    began = time.monotonic()
    with rehearsal_place(Path.cwd()) as place:
        verdict = rehearse(place, own, skipped, stay=not exit_, began=began)
    exit_with(verdict)
