"""Commands for those who look after the data: drafts, decisions that come back, profiles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crmops.cli_support import JsonFlag, TargetOption, context, emit, exit_with, table
from crmops.record import Run
from crmops.verdict import worst

if TYPE_CHECKING:
    from rich.table import Table


def draft(
    entity: Annotated[str, typer.Argument(help="The entity: contact, account, deal, ...")],
    out: Annotated[Path, typer.Option("--out", help="The YAML file to write.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for the rules.")] = "",
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Draw a suite from the CRM's own metadata, to be reviewed and kept with yours."""
    from dq_checks.draft import as_yaml, fields_of, suite_of, write

    which = context().target(target)
    made = suite_of(entity, fields_of(which, entity), owner)
    write(out, as_yaml(made))
    payload = {"file": str(out), "suite": made.name, "rules": [each.id for each in made.rules]}
    said = f"{out}: {len(made.rules)} rules for {made.name}; review it, then put it into one of"
    emit(payload, as_json=as_json, table=lambda: f"{said} dq.suite_directories")


def decide(
    file: Annotated[Path, typer.Argument(help="A worklist that came back: .csv or .xlsx.")],
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Read back what people decided in a worklist: wontfix, fixed or wrong-rule, with a reason."""
    from crmops.record import utc_now
    from dq_checks.catalogue import find_suites
    from dq_checks.decisions import Decisions, read_file
    from dq_checks.settings import Settings

    ctx = context()
    settings = ctx.config.parse("dq", Settings)
    suites = find_suites(settings.suite_directories)
    found, left = read_file(file, ctx.target(target).name, suites, utc_now())
    new = Decisions(ctx.config.state_dir).add(found)
    known = len(found) - new
    payload = {"file": str(file), "new": new, "known": known, "open": left}
    said = f"{file}: {new} new decisions, {known} known already, {left} left open"
    emit(payload, as_json=as_json, table=lambda: said)


def profile(
    suites: Annotated[
        list[str] | None,
        typer.Argument(help="Suites whose tables; without any those of dq.suites."),
    ] = None,
    share: Annotated[
        float, typer.Option("--sample", min=0.0001, max=1.0, help="The share of rows to look at.")
    ] = 1.0,
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Profile the columns of tables: missing and distinct values, ends, commonest shapes."""
    from dq_checks.catalogue import choose, find_suites
    from dq_checks.profile import profile_suites
    from dq_checks.run import Audit, database_url
    from dq_checks.settings import Settings

    ctx = context()
    which = ctx.target(target)
    settings = ctx.config.parse("dq", Settings)
    chosen = choose(find_suites(settings.suite_directories), suites or settings.suites)
    url = database_url(which, settings)
    audit = Audit(which.name, url, settings, ctx.history, ctx.config.digest)
    runs = profile_suites(audit, chosen, share)
    overall = worst(each.verdict for each in runs)
    documents = [_document(each) for each in runs]
    payload = {"verdict": overall, "runs": [each.dump() for each in runs], "profiles": documents}
    emit(payload, as_json=as_json, table=lambda: _profiles(runs, documents))
    exit_with(overall)


def _document(run: Run) -> dict[str, Any]:
    files = context().history.files
    kept = [each for each in run.evidence if each.path.endswith("/profile.json")]
    found: dict[str, Any] = json.loads(files.path(kept[0]).read_text("utf-8")) if kept else {}
    return found


def _profiles(runs: Sequence[Run], documents: Sequence[dict[str, Any]]) -> object:
    from rich.console import Group

    shown: list[Table] = []
    for run, document in zip(runs, documents, strict=True):
        title = f"{run.subject}: {run.verdict}, {run.reason}"
        rows = [_line(each) for each in document.get("columns", ())]
        columns = ("column", "kind", "missing", "distinct", "least", "greatest", "commonest")
        shown.append(table(title, columns, rows))
    return Group(*shown)


def _line(column: dict[str, Any]) -> tuple[object, ...]:
    missing = column["missing"] / column["rows"] if column["rows"] else None
    common = column["values"] or column["shapes"]
    ends = [each if each is not None else "-" for each in (column["least"], column["greatest"])]
    return (
        column["name"], column["kind"], "-" if missing is None else f"{missing:.2%}",
        "-" if column["distinct"] is None else column["distinct"], *ends,
        column["problem"] or "  ".join(f"{what} {seen}" for what, seen in common[:3]),
    )  # fmt: skip
