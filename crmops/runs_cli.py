"""``crmops runs``: what was executed, and the evidence of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from crmops.cli_support import JsonFlag, context, emit, table, verdict_text
from crmops.errors import CannotRun, UsageError
from crmops.record import Kind
from crmops.units import human_seconds, human_value, parse_duration

if TYPE_CHECKING:
    from crmops.record import Run

app = typer.Typer(help="What was executed, and the evidence of it.", no_args_is_help=True)


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Option(help="Only this kind.")] = None,
    target: Annotated[str, typer.Option("--target", "-t", help="Only this target.")] = "",
    subject: Annotated[str, typer.Option(help="Only this subject.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10000, help="At most so many.")] = 30,
    as_json: JsonFlag = False,
) -> None:
    """Runs, newest first."""
    runs = context().history.find(kind, target or None, subject or None, limit=limit)
    emit(
        {"runs": [each.dump() for each in runs]},
        as_json=as_json,
        table=lambda: _list(runs),
    )


@app.command("show")
def show(
    run_id: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.")],
    as_json: JsonFlag = False,
) -> None:
    """One run: its numbers, its findings and whether its evidence is still whole."""
    history = context().history
    run = _one(run_id)
    intact = {each.path: history.files.intact(each) for each in run.evidence}
    payload = {**run.dump(), "intact": intact}
    emit(payload, as_json=as_json, table=lambda: _details(run, intact))


@app.command("reap")
def reap(as_json: JsonFlag = False) -> None:
    """End the runs of processes that were killed, as errors."""
    runs = context().history.reap()
    emit(
        {"runs": [each.dump() for each in runs]},
        as_json=as_json,
        table=lambda: _list(runs) if runs else "nothing to end: no run's process is gone",
    )


@app.command("prune")
def prune(
    older: Annotated[str, typer.Option("--older-than", help="For instance 90d.")],
    as_json: JsonFlag = False,
) -> None:
    """Forget old runs and their files; totals and each subject's newest run stay."""
    from crmops.record import utc_now

    try:
        seconds = parse_duration(older)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not isinstance(seconds, float):
        raise UsageError(f"{older!r} is no duration", hint="Write 30s, 10m, 26h or 92d.")
    count = context().history.prune(utc_now() - timedelta(seconds=seconds))
    emit({"pruned": count}, as_json=as_json, table=lambda: f"{count} runs forgotten")


def _one(run_id: str) -> Run:
    history = context().history
    run = history.get(run_id.upper())
    if run is not None:
        return run
    near = [each for each in history.find(limit=10000) if each.id.startswith(run_id.upper())]
    if len(near) == 1:
        return near[0]
    if near:
        raise UsageError(f"{len(near)} runs begin with {run_id!r}", hint="Give more of the id.")
    raise CannotRun(f"there is no run {run_id!r}", hint="crmops runs list shows what there is.")


def _list(runs: list[Run]) -> object:
    rows = [
        (
            each.id,
            each.begun.strftime("%Y-%m-%d %H:%M:%SZ"),
            "open" if each.seconds is None else human_seconds(each.seconds),
            each.kind,
            each.target,
            each.subject,
            verdict_text(each.verdict if each.ended else "open"),
            each.reason,
        )
        for each in runs
    ]
    columns = ("run", "begun", "took", "kind", "target", "subject", "verdict", "reason")
    return table("runs", columns, rows)


def _details(run: Run, intact: dict[str, bool]) -> object:
    from rich.console import Group

    head = table(
        f"{run.kind} {run.subject} on {run.target}",
        ("what", "said"),
        (
            ("run", run.id),
            ("verdict", verdict_text(run.verdict)),
            ("reason", run.reason),
            ("begun", run.begun.isoformat()),
            ("ended", run.ended.isoformat() if run.ended else "still open"),
            ("versions", ", ".join(f"{k} {v}" for k, v in sorted(run.tool_versions.items()))),
        ),
    )
    rows = [(m.name, human_value(m.value, m.unit), m.observed) for m in run.measures]
    found = [(f.severity, f.title, f.told, f.subject) for f in run.findings]
    files = [
        (e.path, e.bytes, e.sha256, "whole" if intact[e.path] else "GONE OR CHANGED")
        for e in run.evidence
    ]
    return Group(
        head,
        table("measures", ("name", "value", "samples"), rows),
        table("findings", ("severity", "what", "detail", "owner"), found),
        table("evidence", ("file", "bytes", "sha-256", "state"), files),
    )
