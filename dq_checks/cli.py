"""``crmops dq``: audits of the CRM's data and their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from crmops.errors import UnknownEvidence, UsageError
from crmops.record import Kind, Measure, Run, Verdict
from crmops.units import human_value
from crmops.verdict import worst
from dq_checks.data_docs_cli import docs
from dq_checks.duplicates_cli import duplicates
from dq_checks.merges_cli import app as merges
from dq_checks.migration.cli import migration
from dq_checks.reconcile.cli import reconcile
from dq_checks.stewards_cli import decide, draft, profile

if TYPE_CHECKING:
    from rich.table import Table

    from dq_checks.run import Told

app = typer.Typer(help="Audit the data: scores, worklists.", no_args_is_help=True)
app.command("duplicates")(duplicates)
app.add_typer(merges, name="merges")
app.command("migration")(migration)
app.command("reconcile")(reconcile)
app.command("decide")(decide)
app.command("docs")(docs)
app.command("draft")(draft)
app.command("profile")(profile)

Suites = Annotated[
    list[str] | None, typer.Argument(help="The suites; without any those of dq.suites.")
]


@app.command("run")
def run(
    suites: Suites = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was killed, if there is one.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Count everything, also what has not changed.")
    ] = False,
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Audit tables of the CRM's database, record each audit and print the scores."""
    from dq_checks.batch import run_batch
    from dq_checks.catalogue import choose, find_suites
    from dq_checks.decisions import Decisions
    from dq_checks.ledgers import Ledgers
    from dq_checks.run import Audit, database_url
    from dq_checks.settings import Settings
    from dq_checks.waivers import gather

    ctx = context()
    which = ctx.target(target)
    settings = ctx.config.parse("dq", Settings)
    known = find_suites(settings.suite_directories)
    chosen = choose(known, suites or settings.suites)
    waivers = gather(settings.waivers, settings.waiver_files, known.values())
    with _telling(len(chosen)) as told:
        url = database_url(which, settings)
        audit = Audit(
            which.name, url, settings, ctx.history, ctx.config.digest, told,
            waivers=waivers, decisions=Decisions(ctx.config.state_dir).read(),
            ledgers=Ledgers(ctx.config.state_dir) if settings.incremental and not full else None,
        )  # fmt: skip
        runs = run_batch(audit, chosen, ctx.config.state_dir, resume=resume)
    _print(runs, as_json=as_json)


@app.command("file")
def file(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV (UTF-8, GB18030), XLSX or Parquet; or a directory of tables."
        ),
    ],
    suite: Annotated[str, typer.Option("--suite", "-s", help="The suite that fits the records.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="Where names differ.  Repeatable."),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="scratch or spark, instead of dq.engine.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Audit a file before it is loaded, or a snapshot; its Run has the target "file"."""
    from dq_checks.catalogue import choose, find_suites
    from dq_checks.engines import opened
    from dq_checks.run import FILE, Audit, run_suites
    from dq_checks.settings import Settings

    ctx = context()
    settings = ctx.config.parse("dq", Settings)
    (chosen,) = choose(find_suites(settings.suite_directories), [suite])
    with (
        opened(path, chosen, pairs or (), engine or settings.engine, settings.spark) as made,
        _telling(1) as told,
    ):
        notes = [f"the file is {path.name}"]
        if made.left_out:
            notes.append(f"the file cannot answer {', '.join(made.left_out)}")
        audit = Audit(FILE, made.url, settings, ctx.history, ctx.config.digest, told, tuple(notes))
        runs = run_suites(audit, [made.suite])
    _print(runs, as_json=as_json)


@app.command("score")
def score(
    suites: Suites = None,
    target: TargetOption = "",
    by: Annotated[
        str, typer.Option("--by", help="Scores by owner, team, region or source instead.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """The newest audit of each suite, from the history; nothing is audited anew."""
    from dq_checks.catalogue import choose, find_suites
    from dq_checks.groups import GROUPINGS
    from dq_checks.settings import Settings

    ctx = context()
    name = ctx.target(target).name
    settings = ctx.config.parse("dq", Settings)
    chosen = choose(find_suites(settings.suite_directories), suites or settings.suites)
    found = [ctx.history.latest(Kind.DQ, name, each.name) for each in chosen]
    missing = [each.name for each, ran in zip(chosen, found, strict=True) if ran is None]
    runs = [each for each in found if each is not None]
    if not by:
        _print(runs, missing, as_json=as_json)
    if by not in GROUPINGS:
        raise UsageError(f"--by {by} is no grouping", hint=f"There are: {', '.join(GROUPINGS)}.")
    _print_groups(runs, by, as_json=as_json)


@app.command("calibrate")
def calibrate(
    suites: Suites = None,
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Measure the rules' recall and precision on a reference CRM with planted defects."""
    from dq_checks.calibrate import calibrate as calibrate_suites
    from dq_checks.catalogue import choose, find_suites
    from dq_checks.run import Audit, database_url
    from dq_checks.settings import Settings

    ctx = context()
    which = ctx.target(target)
    settings = ctx.config.parse("dq", Settings)
    known = find_suites(settings.suite_directories)
    planted = [name for name, each in known.items() if any(rule.finds for rule in each.rules)]
    chosen = choose(known, suites or planted)
    with _telling(len(chosen)) as told:
        url = database_url(which, settings)
        audit = Audit(which.name, url, settings, ctx.history, ctx.config.digest, told)
        runs = calibrate_suites(audit, chosen)
    _print(runs, as_json=as_json)


@app.command("worklist")
def worklist(
    suite: Annotated[str, typer.Argument(help="The suite whose newest audit is handed out.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write: .csv or .xlsx.")],
    owner: Annotated[
        str, typer.Option("--owner", help="Only of this owner of records or of rules.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also what `crmops dq decide` has settled.")
    ] = False,
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Write the records of the newest audit that somebody must mend, with links and cost."""
    from dq_checks.catalogue import choose, find_suites
    from dq_checks.decisions import Decisions
    from dq_checks.handout import tasks, undecided, write
    from dq_checks.settings import Settings

    ctx = context()
    name = ctx.target(target).name
    settings = ctx.config.parse("dq", Settings)
    (chosen,) = choose(find_suites(settings.suite_directories), [suite])
    ran = ctx.history.latest(Kind.DQ, name, chosen.name)
    if ran is None:
        raise UnknownEvidence(
            f"suite {suite!r} was never audited", hint=f"Run `crmops dq run {suite}`."
        )
    cost = settings.minutes_per_record
    found = tasks(ran, chosen, ctx.history, link=settings.record_link, minutes=cost, owner=owner)
    settled = 0
    if not everything:
        found, settled = undecided(found, ran, Decisions(ctx.config.state_dir).read())
    write(out, found)
    hours = len(found) * cost / 60
    payload = {"run": ran.id, "file": str(out), "tasks": len(found), "hours": round(hours, 2)}
    payload["settled"] = settled
    said = f"{out}: {len(found)} records to mend, about {hours:.1f} hours"
    emit(payload, as_json=as_json, table=lambda: said)


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """The suites there are and their rules."""
    from dq_checks.catalogue import find_suites
    from dq_checks.settings import Settings

    ctx = context()
    settings = ctx.config.parse("dq", Settings)
    known = find_suites(settings.suite_directories).values()
    payload = {"suites": [each.model_dump(mode="json", exclude_defaults=True) for each in known]}
    rows = [
        (suite.name, rule.id, rule.dimension, f"{rule.threshold:.0%}", rule.owner, rule.title)
        for suite in known
        for rule in suite.rules
    ]
    columns = ("suite", "rule", "dimension", "wanted", "owner", "what")
    emit(payload, as_json=as_json, table=lambda: table("suites", columns, rows))


@contextmanager
def _telling(number: int) -> Iterator[Told]:
    with progress() as display:
        task = display.add_task("audit", total=number)
        seen: list[str] = []

        def told(suite: str, stage: str) -> None:
            if suite not in seen:
                seen.append(suite)
            text = f"{suite}: {stage}" if stage else suite
            display.update(task, description=text, completed=len(seen) - 1)

        yield told


def _print(runs: Sequence[Run], missing: Sequence[str] = (), *, as_json: bool) -> None:
    verdicts = [each.verdict for each in runs] + [Verdict.UNKNOWN] * len(missing)
    overall = worst(verdicts)
    payload = {"verdict": overall, "runs": [each.dump() for each in runs], "missing": missing}
    emit(payload, as_json=as_json, table=lambda: _tables(runs, missing))
    exit_with(overall)


def _print_groups(runs: Sequence[Run], by: str, *, as_json: bool) -> None:
    """The scores of each group, and the exit code of the audits that they come from."""
    from dq_checks.groups import read_groups

    files = context().history.files
    found = [
        {"suite": each.subject, "run": each.id, **line}
        for each in runs
        for kept in each.evidence
        if kept.path.endswith("/groups.csv")
        for line in read_groups(files.path(kept).read_text(encoding="utf-8"), by)
    ]
    if not found:
        raise UnknownEvidence(
            f"no audit has scores by {by}", hint="Run `crmops dq run` with dq.groups: true."
        )
    rows = [
        (each["suite"], each["group"], f"{float(each['score'] or 'nan'):.2%}", each["bad"],
         each["elements"])
        for each in found
    ]  # fmt: skip
    columns = ("suite", by, "score", "bad", "elements")
    emit({"groups": found}, as_json=as_json, table=lambda: table(f"by {by}", columns, rows))
    exit_with(worst(each.verdict for each in runs))


def _tables(runs: Sequence[Run], missing: Sequence[str]) -> object:
    from rich.console import Group

    shown = [_overview(runs, missing)]
    findings = [(ran, each) for ran in runs for each in ran.findings if ran.measures]
    if findings:
        rows = [(ran.subject, each.severity, each.title, each.detail) for ran, each in findings]
        shown.append(table("findings", ("suite", "severity", "what", "how much"), rows))
    return Group(*shown)


def _overview(runs: Sequence[Run], missing: Sequence[str]) -> Table:
    rows: list[tuple[object, ...]] = [
        (
            each.subject,
            verdict_text(each.verdict),
            _value(each.measure("score")),
            _value(each.measure("rows")),
            _value(each.measure("rules.failed")),
            each.reason,
            each.id,
        )
        for each in runs
    ]
    rows += [
        (name, verdict_text(Verdict.UNKNOWN), "-", "-", "-", "never audited", "-")
        for name in missing
    ]
    columns = ("suite", "verdict", "score", "rows", "rules failed", "why", "run")
    return table("data quality", columns, rows)


def _value(measure: Measure | None) -> str:
    return human_value(measure.value, measure.unit) if measure else "-"
