"""``crmops load capacity``."""

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
from crmops.units import human_value

if TYPE_CHECKING:
    from crmops.record import Run
    from loadtests.capacity.search import Search
    from loadtests.capacity.steps import Step


def capacity(  # noqa: PLR0913, PLR0917 - a command's options
    workload: Annotated[str, typer.Argument(help="Its name, or a YAML file.")] = "",
    start: Annotated[int, typer.Option(min=1, help="People in the first step.")] = 10,
    most: Annotated[
        int, typer.Option(min=0, help="People at most; 0: as many as the target allows.")
    ] = 0,
    seconds: Annotated[float, typer.Option(min=1, help="Judged seconds of a step.")] = 30.0,
    arrival: Annotated[
        float, typer.Option(min=1, help="Seconds before them in which people arrive.")
    ] = 15.0,
    tolerance: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Share by which the result may be off.")
    ] = 0.05,
    steps: Annotated[int, typer.Option(min=3, max=200, help="Steps at most.")] = 24,
    at_least: Annotated[
        int, typer.Option(min=0, help="People wanted: the verdict is whether they are carried.")
    ] = 0,
    target: TargetOption = "",
    confirm: Annotated[
        str, typer.Option(help="The target's name, typed: for production only.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Find out how many people a target carries before it misses the objectives."""
    from loadtests.capacity.attempts import Attempts, most_people, steady
    from loadtests.capacity.run import find_capacity
    from loadtests.capacity.search import Rules
    from loadtests.catalogue import find_workload
    from loadtests.guard import guard
    from loadtests.settings import Settings

    ctx = context()
    settings = ctx.config.parse("load", Settings)
    which = ctx.target(target)
    found = find_workload(workload or settings.workload, settings)
    chosen = found.changed(pace=settings.think_scale)
    guard(which, steady(chosen, 1, seconds, arrival), settings, confirm)
    rules = Rules(start, most_people(which, chosen, most), tolerance, steps)
    note(
        f"searching up to {rules.most} people on {which.name}; a step takes {seconds + arrival:g} s"
    )
    attempts = Attempts(
        which, chosen, settings, ctx.history, seconds, arrival, confirm, ctx.config.digest
    )
    ran = find_capacity(attempts, rules, at_least=at_least, told=_say)
    emit(ran.dump(), as_json=as_json, table=lambda: _table(ran))
    exit_with(ran.verdict)


def _say(search: Search, step: Step) -> None:
    low, high = search.posterior.interval()
    p95 = "-" if step.p95 is None else human_value(step.p95, "seconds")
    between = f"between {low:.0f} and {high:.0f}" if search.met or search.missed else "anything"
    note(
        f"step {len(search.steps):>2}: {step.users:>6} people {step.outcome:<16} "
        f"{step.throughput or 0:8.1f}/s  p95 {p95:>9}  now {between}"
    )


def _table(ran: Run) -> object:
    rows = [
        (each.name, human_value(each.value, each.unit), f"{each.observed:,}")
        for each in ran.measures
    ]
    rows += [("found", each.title, each.detail) for each in ran.findings]
    title = f"{ran.subject} on {ran.target}: {ran.verdict}, {ran.reason}"
    return table(title, ("measure", "value", "steps"), rows)
