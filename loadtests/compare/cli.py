"""``crmops load compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crmops.cli_support import JsonFlag, context, emit, exit_with, note
from crmops.errors import UnknownEvidence, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crmops.history import History
    from crmops.record import Run
    from loadtests.compare.runs import Load
    from loadtests.compare.table import Comparison
    from loadtests.compare.words import Rules


def compare(  # noqa: PLR0913, PLR0917 - a command's options
    a: Annotated[
        str, typer.Argument(metavar="[A]", help="A run's id; the last passed one like B if empty.")
    ] = "",
    b: Annotated[
        str, typer.Argument(metavar="[B]", help="A run's id; the latest load test if empty.")
    ] = "",
    fail_on: Annotated[
        Literal["nothing", "worse"], typer.Option(help="What makes the exit code 1.")
    ] = "nothing",
    min_ratio: Annotated[
        float, typer.Option(min=0, help="A smaller share of change is no difference.")
    ] = 0.05,
    min_seconds: Annotated[
        float, typer.Option(min=0, help="A smaller change in seconds is no difference.")
    ] = 0.002,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of the comparison as a whole.")
    ] = 0.95,
    must_show: Annotated[
        float, typer.Option(min=0, help="A slowdown in seconds that would have to be seen.")
    ] = 0.05,
    max_lag: Annotated[
        float, typer.Option(min=0, help="The generator's loop lag (p99) in seconds, at most.")
    ] = 0.02,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare runs that differ in more than the build.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Set a load test against an earlier one: better, same, worse or too few samples."""
    from loadtests.compare.runs import choose
    from loadtests.compare.words import Rules, Word

    history = context().history
    earlier, later = choose(history, a, b)
    rules = Rules(min_ratio, min_seconds, confidence=confidence, blind_seconds=must_show)
    made = compare_runs(history, earlier, later, rules, anyway=anyway, max_lag=max_lag)
    for each in made.obstacles:
        note(f"warning: compared anyway: {each}", always=True)
    emit(made.document(), as_json=as_json, table=made.table)
    if made.word is Word.FEW:
        exit_with("unknown")
    exit_with("fail" if made.word is Word.WORSE and fail_on == "worse" else "pass")


def compare_runs(
    history: History,
    earlier: Run,
    later: Run,
    rules: Rules,
    *,
    anyway: bool = False,
    max_lag: float = 0.02,
) -> Comparison:
    """Two runs of the history, compared.

    Raises UsageError if they differ in more than the build (unless ``anyway``), UnknownEvidence
    if what they have left cannot be read.
    """
    from loadtests.compare.comparable import lagging, obstacles
    from loadtests.compare.runs import read_load

    one, two = read_load(history, earlier), read_load(history, later)
    found = obstacles(one, two)
    slow = [reason for each in (one, two) if (reason := lagging(each, max_lag))]
    if found and not anyway:
        raise UsageError(
            f"load tests {earlier.id} and {later.id} cannot be compared: {'; '.join(found)}",
            hint="Repeat one like the other; --anyway compares them all the same.",
        )
    if slow and not anyway:
        raise UnknownEvidence(
            "; ".join(slow),
            hint="Repeat the run where the generator has a core of its own, or allow --max-lag.",
        )
    past = _like(history, one, later, max_lag)
    return compare_loads(one, two, past, rules, (*found, *slow))


def compare_loads(
    one: Load, two: Load, earlier: Iterable[Load], rules: Rules, differing: tuple[str, ...] = ()
) -> Comparison:
    """Two runs, compared; ``earlier`` runs of the same build show the noise between runs."""
    from loadtests.compare.judge import Judge, Side, noise_of
    from loadtests.compare.table import Comparison

    noise = noise_of((Side.of(each) for each in earlier), rules)
    operations = tuple(Judge(Side.of(one), Side.of(two), noise, rules).compare())
    return Comparison(one, two, operations, rules, noise, differing)


def _like(history: History, load: Load, later: Run, max_lag: float) -> list[Load]:
    """Earlier passed runs that could be compared with a run, itself among them."""
    from loadtests.compare.comparable import lagging, obstacles
    from loadtests.compare.noise import MOST_RUNS
    from loadtests.compare.runs import earlier_like, read_load

    found = []
    for run in earlier_like(history, later, 2 * MOST_RUNS):
        try:
            other = read_load(history, run)
        except UnknownEvidence:  # it is not needed
            continue
        if not obstacles(load, other) and not lagging(other, max_lag):
            found.append(other)
    return found[:MOST_RUNS]
