"""``crmops dq migration``: validation, sign-off, rollback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from crmops.record import Run
from crmops.units import human_value
from crmops.verdict import worst

if TYPE_CHECKING:
    from dq_checks.migration.run import Job


class Do(StrEnum):
    """What can be done with a batch."""

    VALIDATE = "validate"
    MARK = "mark"
    CHECK_ROLLBACK = "check-rollback"
    SIGN_OFF = "sign-off"


SHOWN = (
    "rows.source", "rows.target", "rows.before", "rows.missing", "rows.extra", "rows.different",
)  # fmt: skip
"""The measures that the table has; ``--json`` has all."""

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="The plan, a YAML file.")]


def migration(
    plan: PlanFile,
    batch: Annotated[str, typer.Option("--batch", "-b", help="Only this batch.")] = "",
    do: Annotated[Do, typer.Option("--do", help="What to do with the batches.")] = Do.VALIDATE,
    by: Annotated[str, typer.Option("--by", metavar="WHO", help="Who signs off.")] = "",
    note: Annotated[str, typer.Option("--note", help="A word of whoever signs off.")] = "",
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Compare source and target of a migration batch by batch, row by row, and record it."""
    from dq_checks.migration.rollback import check_rollback, mark
    from dq_checks.migration.run import batches, validate
    from dq_checks.migration.signoff import sign_off

    with progress() as display:
        task = display.add_task("migration", total=None)
        job = _job(plan, target, lambda each: display.update(task, description=f"batch {each}"))
        chosen = batches(job.plan, batch)
        if do is Do.MARK:
            runs = [mark(job, each) for each in chosen]
        elif do is Do.CHECK_ROLLBACK:
            runs = [check_rollback(job, each) for each in chosen]
        elif do is Do.SIGN_OFF:
            runs = [sign_off(job, each, by, note) for each in chosen]
        else:
            runs = [validate(job, each) for each in chosen]
    show(runs, as_json=as_json)


def _job(path: Path, target: str, told: Callable[[str], None]) -> Job:
    from dq_checks.migration.plan import Plan, read_plan
    from dq_checks.migration.run import GUIDE, Job

    ctx = context()
    loaded = read_plan(path, Plan, GUIDE)
    return Job(loaded, target_name(target), ctx.history, address_of, told)


def target_name(given: str) -> str:
    """The target that Runs are about: the given one, the default one, or ``migration``."""
    config = context().config
    if given:
        return config.target(given).name
    return config.default_target or "migration"


def address_of(name: str) -> str:
    """The address of the database of a target of crmops.yaml; a replica where there is one."""
    from dq_checks.run import database_url
    from dq_checks.settings import Settings

    ctx = context()
    return database_url(ctx.target(name), ctx.config.parse("dq", Settings))


def show(runs: Sequence[Run], *, as_json: bool, columns: Sequence[str] = SHOWN) -> None:
    """Print Runs with the measures that ``columns`` names, and end with the worst verdict."""
    overall = worst(each.verdict for each in runs)
    payload = {"verdict": overall, "runs": [each.dump() for each in runs]}
    emit(payload, as_json=as_json, table=lambda: _tables(runs, columns))
    exit_with(overall)


def _tables(runs: Sequence[Run], columns: Sequence[str]) -> object:
    from rich.console import Group

    names = [each for each in columns if any(run.measure(each) for run in runs)]
    rows: list[tuple[object, ...]] = []
    for run in runs:
        found = (run.measure(name) for name in names)
        values = [human_value(each.value, each.unit) if each else "-" for each in found]
        rows.append((run.subject, verdict_text(run.verdict), *values, run.reason, run.id))
    heads = [each.removeprefix("rows.") for each in names]
    shown = [table("", ("subject", "verdict", *heads, "why", "run"), rows)]
    findings = [
        (run.subject, each.severity, each.title, each.detail)
        for run in runs
        for each in run.findings
    ]
    if findings:
        shown.append(table("findings", ("subject", "severity", "what", "more"), findings))
    return Group(*shown)
