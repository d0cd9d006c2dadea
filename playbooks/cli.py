"""``crmops backup`` and ``crmops drill``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crmops.cli_support import (
    JsonFlag,
    TargetOption,
    context,
    emit,
    exit_with,
    note,
    table,
)
from crmops.record import Run, Unit
from crmops.units import human_value

if TYPE_CHECKING:
    from playbooks.catalogue import Manifest
    from playbooks.plan import Plan
    from playbooks.run import Room

backup_app = typer.Typer(help="Back the CRM's database up, verified.", no_args_is_help=True)
drill_app = typer.Typer(
    help="Restore a backup in isolation and prove it; RTO and RPO.", no_args_is_help=True
)

BackupOption = Annotated[
    str, typer.Option("--backup", help="Which backup: an id, latest or oldest.")
]


@backup_app.command("run")
def backup_run(target: TargetOption = "", as_json: JsonFlag = False) -> None:
    """Take one backup, verify it and write down what the database contained."""
    from playbooks.run import back_up

    _show(back_up(_room(target)), as_json)


@backup_app.command("list")
def backup_list(target: TargetOption = "", as_json: JsonFlag = False) -> None:
    """The backups there are, newest first; half and damaged ones are none."""
    found = _room(target).catalogue.manifests()
    payload = {
        "backups": [each.model_dump(mode="json", include=_LISTED) for each in found],
    }
    emit(payload, as_json=as_json, table=lambda: _list_table(found))


@drill_app.command("run")
def drill_run(
    target: TargetOption = "", backup: BackupOption = "latest", as_json: JsonFlag = False
) -> None:
    """Restore a backup into an isolated instance, compare it with its source and judge it."""
    from playbooks.run import drill

    _show(drill(_room(target), backup), as_json)


@drill_app.command("plan")
def drill_plan(
    target: TargetOption = "", backup: BackupOption = "latest", as_json: JsonFlag = False
) -> None:
    """What a drill would do and need; nothing is touched."""
    from playbooks.plan import plan_drill

    plan = plan_drill(_room(target), backup)
    emit(plan, as_json=as_json, table=lambda: _plan_table(plan))


_LISTED = {"id", "target", "begun", "ended", "database", "postgres", "bytes", "point", "timeline"}


def _room(target: str) -> Room:
    from playbooks.run import Room
    from playbooks.settings import Settings

    ctx = context()
    return Room(
        target=ctx.target(target),
        settings=ctx.config.parse("drills", Settings),
        history=ctx.history,
        state=ctx.config.state_dir,
        config_digest=ctx.config.digest,
        say=note,
    )


def _show(run: Run, as_json: bool) -> None:
    emit(run.dump(), as_json=as_json, table=lambda: _run_table(run))
    for each in run.findings if not as_json else ():
        note(f"{each.severity}: {each.title}{f': {each.detail}' if each.detail else ''}")
    exit_with(run.verdict)


def _run_table(run: Run) -> object:
    rows = [(m.name, human_value(m.value, m.unit), str(m.observed)) for m in run.measures]
    title = f"{run.kind} of {run.target}: {run.verdict}, {run.reason}"
    return table(title, ("measure", "value", "samples"), rows)


def _list_table(found: list[Manifest]) -> object:
    rows = [
        (
            each.id,
            each.ended.isoformat(timespec="seconds"),
            human_value(each.bytes, Unit.BYTES),
            each.database,
            each.postgres,
        )
        for each in found
    ]
    return table("backups", ("backup", "taken", "size", "database", "PostgreSQL"), rows)


def _plan_table(plan: Plan) -> object:
    before = plan.seconds_last_time
    rows = [
        ("backup", f"{plan.backup}, {human_value(plan.age_seconds, Unit.SECONDS)} old"),
        ("recover to", plan.recover_to),
        ("scratch directory", plan.scratch),
        ("space needed", human_value(plan.bytes_needed, Unit.BYTES)),
        ("space free", human_value(plan.bytes_free, Unit.BYTES)),
        ("segments to read", str(plan.segments)),
        ("last time", human_value(before, Unit.SECONDS) if before is not None else "never"),
        ("stages", ", ".join(plan.stages)),
        ("objectives", "; ".join(plan.objectives)),
        ("obstacles", "; ".join(plan.obstacles) or "none"),
    ]
    return table(f"drill of {plan.target}: plan", ("what", "value"), rows)
