"""``crmops dq merges``: what to merge into what, shown first and sent only when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crmops.cli_support import (
    JsonFlag,
    TargetOption,
    context,
    emit,
    exit_with,
    progress,
    table,
    verdict_text,
)
from crmops.errors import UsageError

app = typer.Typer(
    help="Merge duplicates in the CRM's own way: plan, look, send.", no_args_is_help=True
)
SHOWN = 10


@app.command("plan")
def plan(  # noqa: PLR0913, PLR0917 - the options of the command
    file: Annotated[Path, typer.Argument(help="The file in which duplicates were found.")],
    clusters: Annotated[Path, typer.Option(help="What crmops dq duplicates --out wrote.")],
    form: Annotated[str, typer.Option(help="hubspot, dynamics, zoho or salesforce.")],
    id_column: Annotated[
        str, typer.Option("--id", metavar="COLUMN", help="The column with the records' ids.")
    ],
    out: Annotated[Path, typer.Option(help="Where the plan goes: one JSON text a line.")],
    entity: Annotated[str, typer.Option(help="contact, lead or account.")] = "contact",
    at_least: Annotated[
        float, typer.Option(help="Only clusters of which every record is as likely.")
    ] = 0.95,
    as_json: JsonFlag = False,
) -> None:
    """Write which record survives, what it takes over and which calls do it; nothing is sent."""
    from dq_checks.duplicates.merging import make_plan, write_plan

    if not 0 <= at_least <= 1:
        raise UsageError(f"--at-least {at_least:g} is no share", hint="Give a number from 0 to 1.")
    merges = make_plan(file, clusters, id_column, form, entity, at_least)
    write_plan(out, merges)
    payload = {
        "form": form,
        "plan": str(out),
        "clusters": len(merges),
        "records": sum(len(each.losers) for each in merges),
        "calls": sum(len(each.calls) for each in merges),
    }
    rows = [
        (each.cluster, each.survivor, ", ".join(each.losers),
         ", ".join(f"{taken.field} of {taken.from_}" for taken in each.takes), each.why)
        for each in merges[:SHOWN]
    ]  # fmt: skip
    columns = ("cluster", "survivor", "merged into it", "takes over", "why")
    title = f"{len(merges)} merges in {out}"
    emit(payload, as_json=as_json, table=lambda: table(title, columns, rows))


@app.command("send")
def send(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan, looked at.")],
    confirm: Annotated[str, typer.Option(help="The target's name, typed.")] = "",
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Merge in the CRM what a plan says; what was there is written down before each merge."""
    from dq_checks.duplicates.merging import read_plan
    from dq_checks.duplicates.sending import check_confirmed, files_of, send_plan

    ctx = context()
    which = ctx.target(target)
    merges = read_plan(plan_file)
    check_confirmed(which, confirm)
    with progress() as display:
        task = display.add_task("merges", total=None)
        run = send_plan(
            plan_file, merges, which, ctx.history,
            told=lambda text: display.update(task, description=text),
            config_digest=ctx.config.digest,
        )  # fmt: skip
    files = files_of(plan_file)
    payload = {"verdict": run.verdict, "run": run.dump(), "undo": str(files.undo)}
    rows = [
        ("verdict", verdict_text(run.verdict)),
        ("why", run.reason),
        ("what was there", str(files.undo)),
        ("run", run.id),
    ]
    emit(payload, as_json=as_json, table=lambda: table("merges", ("what", "value"), rows))
    exit_with(run.verdict)
