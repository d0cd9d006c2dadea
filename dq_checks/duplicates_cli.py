"""``crmops dq duplicates``: which rows of a file are one and the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from crmops.cli_support import (
    Context,
    JsonFlag,
    context,
    emit,
    exit_with,
    note,
    progress,
    table,
    verdict_text,
)
from crmops.errors import UsageError

if TYPE_CHECKING:
    from crmops.record import Run
    from dq_checks.duplicates.find import Found, Wanted
    from dq_checks.duplicates.prepare import Script

_QUIET_SECONDS = 2.0

FileArgument = Annotated[Path, typer.Argument(help="A CSV (UTF-8, GB18030) or XLSX file.")]
EntityOption = Annotated[
    str | None, typer.Option(help="contact, lead or account; else taken from the headings.")
]
ScriptOption = Annotated[
    str | None, typer.Option(help="latin or chinese; else taken from the names.")
]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=FIELD", help="Which column is which.  Repeatable."),
]
OutOption = Annotated[
    Path | None, typer.Option(help="Where the clusters go; the pairs go beside it.")
]
ThresholdOption = Annotated[
    float | None, typer.Option(help="Probability from which a pair is one; else as shipped.")
]
AtMostOption = Annotated[
    float | None, typer.Option(help="Fail if a larger share of the rows are copies: 0.02.")
]
KeepOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Keep the records: new ones are compared with them later."),
]
IdOption = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="What --keep calls a record; else its row."),
]
AgainstOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Compare the rows with records that were kept.")
]


def duplicates(  # noqa: PLR0913, PLR0917 - the options of the command
    file: FileArgument,
    entity: EntityOption = None,
    script: ScriptOption = None,
    maps: MapOption = None,
    out: OutOption = None,
    threshold: ThresholdOption = None,
    at_most: AtMostOption = None,
    keep: KeepOption = None,
    id_column: IdOption = None,
    against: AgainstOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Find the rows of a file that are the same person or company, with settings as shipped."""
    from dq_checks.duplicates.find import Wanted
    from dq_checks.duplicates.output import pairs_path, summary
    from dq_checks.duplicates.run import run_duplicates

    for name, value in (("--threshold", threshold), ("--at-most", at_most)):
        if value is not None and not 0 <= value < 1:
            raise UsageError(f"{name} {value:g} is no share", hint="Give a number from 0 to 1.")
    ctx = context()
    wanted = Wanted(file, _entity(entity), _script(script), tuple(maps or ()), threshold)
    _without_file(ctx)
    if against is not None:
        _refuse_both(keep, id_column)
        _against(ctx, wanted, against, out, at_most, as_json=as_json)
    wanted = _keeping(ctx, wanted, keep, id_column)
    with _telling() as told:
        run, found = run_duplicates(
            wanted, ctx.history, out, at_most=at_most, told=told, config_digest=ctx.config.digest
        )
    files = {"clusters": str(out), "pairs": str(pairs_path(out))} if out else {}
    payload = {"verdict": run.verdict, "run": run.dump(), "result": summary(found), "files": files}
    emit(payload, as_json=as_json, table=lambda: _tables(run, found, out))
    exit_with(run.verdict)


def _refuse_both(keep: str | None, id_column: str | None) -> None:
    if keep is not None or id_column is not None:
        raise UsageError(
            "--against compares and keeps nothing", hint="Leave --keep and --id out, or --against."
        )


def _keeping(ctx: Context, wanted: Wanted, keep: str | None, id_column: str | None) -> Wanted:
    """With the place of the store that is to be made."""
    from dq_checks.duplicates.against import store_place
    from dq_checks.duplicates.known import check_place, hand_over

    if keep is None:
        if id_column is not None:
            raise UsageError("--id is of use with --keep only", hint="Give --keep NAME too.")
        return wanted
    place = store_place(ctx.config.state_dir, keep)
    if not place.parent.is_dir():
        place.parent.mkdir(mode=0o700, parents=True)
        hand_over(place.parent, ctx.config.state_dir)
    check_place(place)
    return replace(wanted, keep=place, id_column=id_column)


def _against(
    ctx: Context,
    wanted: Wanted,
    name: str,
    out: Path | None,
    at_most: float | None,
    *,
    as_json: bool,
) -> NoReturn:
    """Compare with kept records and leave."""
    from dq_checks.duplicates.against import store_place, stores_in, summary
    from dq_checks.duplicates.known import is_store
    from dq_checks.duplicates.run import run_against

    place = store_place(ctx.config.state_dir, name)
    if not is_store(place):
        known = ", ".join(stores_in(ctx.config.state_dir)) or "none yet; make one with --keep"
        raise UsageError(f"no records were kept as {name!r}", hint=f"There are: {known}.")
    with _telling() as told:
        run, made = run_against(
            wanted, place, ctx.history, out,
            at_most=at_most, told=told, config_digest=ctx.config.digest,
        )  # fmt: skip
    result = summary(made)
    files = {"matches": str(out)} if out else {}
    payload = {"verdict": run.verdict, "run": run.dump(), "result": result, "files": files}
    rows = [
        ("verdict", verdict_text(run.verdict)),
        ("why", run.reason),
        ("settings", f"{result['settings']}, pairs from {made.threshold:.2f}"),
        ("columns", ", ".join(f"{b} = {a}" for a, b in made.columns.by_field().items())),
        ("pairs compared", f"{made.matches.candidates:,}"),
        ("rows", f"{made.rows:,}"),
        ("rows that are known", f"{made.rows_known:,}"),
        ("rows that are not new", f"{made.rows_again:,}"),
        ("run", run.id),
        *([("pairs in", str(out))] if out else []),
    ]
    emit(payload, as_json=as_json, table=lambda: table("duplicates", ("what", "value"), rows))
    exit_with(run.verdict)


def _entity(given: str | None) -> str | None:
    """A lead is compared as a contact is: they are the same people."""
    return "contact" if given == "lead" else given


def _script(given: str | None) -> Script | None:
    scripts: dict[str | None, Script | None] = {None: None, "latin": "latin", "chinese": "chinese"}
    if given not in scripts:
        raise UsageError(f"script {given!r} has no settings", hint="Use latin or chinese.")
    return scripts[given]


def _without_file(ctx: Context) -> None:
    """A file needs no CRM: where there is no crmops.yaml, the record goes below .crmops here."""
    from crmops.config.loader import empty_config

    asked = ctx.config_path or os.environ.get("CRMOPS_CONFIG") or ctx.overrides
    if not asked and not Path("crmops.yaml").exists():
        ctx.config = empty_config(Path.cwd())


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Stages on the live display, and off a terminal as notes once two seconds have passed."""
    began = last = time.monotonic()
    with progress() as display:
        task = display.add_task("duplicates", total=None)

        def told(stage: str) -> None:
            nonlocal last
            display.update(task, description=stage)
            now = time.monotonic()
            if display.disable and now - last > _QUIET_SECONDS:
                last = now
                note(f"{now - began:.0f} s: {stage}")

        yield told


def _tables(run: Run, found: Found, out: Path | None) -> object:
    from rich.console import Group

    rows: list[tuple[object, object]] = [
        ("verdict", verdict_text(run.verdict)),
        ("why", run.reason),
        ("settings", f"{found.model.name}, pairs from {found.threshold:.2f}"),
        ("columns", ", ".join(f"{b} = {a}" for a, b in found.columns.by_field().items())),
        ("pairs compared", f"{found.candidates:,}"),
        ("rows", f"{found.rows:,}"),
        ("rows that are copies", f"{found.surplus:,}"),
        ("run", run.id),
    ]
    if out is not None:
        rows.append(("clusters in", str(out)))
    shown = [table("duplicates", ("what", "value"), rows)]
    if found.clusters:
        largest = sorted(found.clusters, key=len, reverse=True)[:10]
        members = [(len(each), ", ".join(map(str, each[:20]))) for each in largest]
        shown.append(table("largest clusters", ("rows", "which"), members))
    return Group(*shown)
