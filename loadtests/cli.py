"""``crmops load``: people at work, in their thousands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from crmops.errors import UsageError
from crmops.record import Kind, Run
from crmops.units import human_value
from loadtests.capacity.cli import capacity
from loadtests.compare.cli import compare
from loadtests.distributed.cli import worker
from loadtests.fit.cli import fit

if TYPE_CHECKING:
    from loadtests.live import Live, Watch
    from loadtests.settings import Settings
    from loadtests.workload import Workload

app = typer.Typer(help="Put a CRM under load: thousands of people at work.", no_args_is_help=True)
app.command("compare")(compare)
app.command("capacity")(capacity)
app.command("fit")(fit)
app.command("worker")(worker)


@app.command("run")
def run(  # noqa: PLR0913, PLR0917 - a command's options
    workload: Annotated[str, typer.Argument(help="Its name, or a YAML file.")] = "",
    users: Annotated[int, typer.Option(min=0, help="People; 0: as the workload says.")] = 0,
    duration: Annotated[
        float, typer.Option(min=0, help="Seconds; the phases are stretched alike.")
    ] = 0.0,
    ramp: Annotated[
        float | None, typer.Option(min=0, help="Seconds in which the first phase's people arrive.")
    ] = None,
    target: TargetOption = "",
    workers: Annotated[int, typer.Option(min=0, max=64, help="Generator processes.")] = 0,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT: await workers of other machines there.")
    ] = "",
    expect_workers: Annotated[
        int, typer.Option(min=0, max=500, help="How many of them must have joined.")
    ] = 0,
    secret_file: Annotated[
        Path | None, typer.Option(help="File with the secret that they must know.")
    ] = None,
    client: Annotated[
        Literal["lean", "fasthttp"] | None,
        typer.Option(help="What carries the calls: our own client, or FastHttpUser's."),
    ] = None,
    confirm: Annotated[
        str, typer.Option(help="The target's name, typed: for production only.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave what was created.")] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve the run's metrics here; 0: any free port."),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="The address that they are served on.")
    ] = "127.0.0.1",
    as_json: JsonFlag = False,
) -> None:
    """Put a target under load and judge what it does."""
    from loadtests.assignment import prepare
    from loadtests.distributed.await_workers import awaiting
    from loadtests.run import run_load

    ctx = context()
    which = ctx.target(target)
    settings = _settings(workers=workers or None, cleanup=False if keep else None, client=client)
    settings = awaiting(settings, which.url, listen, expect_workers, secret_file, workers)
    chosen = _workload(workload, settings, users, duration, ramp)
    assignment = prepare(which, chosen, settings, confirm)
    note(f"{chosen.users} people on {which.name} for {chosen.seconds:g} s: {chosen.summary}")
    with _watching(which.name, chosen.name, metrics_host, metrics_port) as watch:
        ran = run_load(assignment, ctx.history, config_digest=ctx.config.digest, watch=watch)
    emit(ran.dump(), as_json=as_json, table=lambda: _table(ran))
    exit_with(ran.verdict)


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """The workloads there are."""
    from loadtests.catalogue import catalogue

    known = sorted(catalogue(_settings()).values(), key=lambda each: each.name)
    rows = [(w.name, w.users, f"{w.seconds:g} s", w.model, w.summary) for w in known]
    payload = {"workloads": [each.model_dump(mode="json") for each in known]}
    columns = ("workload", "people", "duration", "model", "what")
    emit(payload, as_json=as_json, table=lambda: table("workloads", columns, rows))


@app.command("cleanup")
def cleanup(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The id of a load test.")],
    as_json: JsonFlag = False,
) -> None:
    """Delete what a load test has created; doing it again does no harm."""
    from loadtests.tidy import clean_up_run

    ctx = context()
    found = ctx.history.get(run_id)
    if found is None or found.kind is not Kind.LOAD:
        raise UsageError(
            f"there is no load test {run_id!r}", hint="`crmops runs list --kind load` shows them."
        )
    cleaned = clean_up_run(ctx.target(found.target), ctx.history.artifacts(run_id), run_id)
    payload = {
        "run": run_id,
        "deleted": cleaned.deleted,
        "already_gone": cleaned.already_gone,
        "left": [list(each) for each in cleaned.left],
        "not_ours": [list(each) for each in cleaned.foreign],
    }
    rows = [
        ("deleted", cleaned.deleted),
        ("gone already", cleaned.already_gone),
        ("could not be deleted", len(cleaned.left)),
        ("not ours, left alone", len(cleaned.foreign)),
    ]
    emit(
        payload,
        as_json=as_json,
        table=lambda: table(f"cleanup of {run_id}", ("what", "records"), rows),
    )
    exit_with("fail" if cleaned.left else "pass")


def _settings(**flags: Any) -> Settings:
    """The section ``load``, with what flags say; those that are None say nothing."""
    from loadtests.settings import Settings

    found = context().config.parse("load", Settings)
    changes = {name: value for name, value in flags.items() if value is not None}
    return found.model_copy(update=changes)


def _workload(
    name: str, settings: Settings, users: int, duration: float, ramp: float | None
) -> Workload:
    from pydantic import ValidationError

    from loadtests.catalogue import find_workload

    found = find_workload(name or settings.workload, settings)
    try:
        return found.changed(
            users=users or None, seconds=duration or None, ramp=ramp, pace=settings.think_scale
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"workload {found.name!r} cannot be changed so: {first}",
            hint="--ramp must fit into the first phase.",
        ) from None


@contextmanager
def _watching(target: str, workload: str, host: str, port: int | None) -> Iterator[Watch]:
    """What watches the run: the terminal, and the metrics if there is a port for them."""
    if port is None:
        yield _say
        return
    from loadtests.live_metrics import Board, served

    board = Board(target, workload)

    def both(live: Live) -> None:
        board.show(live)
        _say(live)

    with served(board, host, port) as url:
        note(f"metrics on {url}")
        yield both


def _say(live: Live) -> None:
    p95 = "-" if live.p95 is None else human_value(live.p95, "seconds")
    errors = "-" if live.error_ratio is None else human_value(live.error_ratio, "ratio")
    note(
        f"{live.at:5.0f}/{live.seconds:.0f} s  {live.phase:<12} {live.users:>6} people "
        f"{live.rate:8.1f}/s  p95 {p95:>9}  errors {errors:>8}  {live.requests:>8} requests"
        f"  so far {live.judgement.verdict.value}"
    )


def _table(ran: Run) -> object:
    rows = [
        (each.name, human_value(each.value, each.unit), f"{each.observed:,}")
        for each in ran.measures
        if "{" not in each.name
    ]
    title = f"load {ran.subject} on {ran.target}: {ran.verdict}, {ran.reason}"
    return table(title, ("measure", "value", "samples"), rows)
