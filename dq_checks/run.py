"""Audits, start to end: target, worker, counts, scores, verdict, record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crmops.errors import CannotRun, ConfigError
from crmops.execute import Execution, executing
from crmops.history import History
from crmops.record import Kind, Run, Unit, Verdict, utc_now
from crmops.target import Target
from crmops.verdict import Objective, judge
from dq_checks.client import AuditWorker
from dq_checks.decisions import Decision
from dq_checks.groups import groups_csv
from dq_checks.ledgers import Ledgers
from dq_checks.messages import Audited, Job, Ledger
from dq_checks.report import evidence, report, report_decided, report_drop, report_expired
from dq_checks.scores import Result, measures, pair
from dq_checks.settings import Settings
from dq_checks.suite import Suite
from dq_checks.trend import drop
from dq_checks.waivers import Holding, Waiver, in_force
from dq_checks.worklist import worklist

Told = Callable[[str, str], None]
"""Is told the suite and what is being done."""

_BEAT_SECONDS = 5.0
FILE = "file"
"""The target of audits of files."""

PATIENCE_SECONDS = 60.0
"""How long a worker may be silent beyond the time for one statement."""


@dataclass(frozen=True)
class Audit:
    """What all audits of one command share.

    ``url`` is the database's address and may hold a password; :func:`database_url` finds it for
    a target.  ``notes`` become findings of every Run.  With ``ledgers`` only what has changed is
    counted.
    """

    target: str
    url: str
    settings: Settings
    history: History
    config_digest: str = ""
    told: Told | None = None
    notes: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    decisions: tuple[Decision, ...] = ()
    ledgers: Ledgers | None = None


def run_suites(
    audit: Audit, suites: Sequence[Suite], worker: AuditWorker | None = None
) -> list[Run]:
    """Audit one table after the other; a Run for each, also for those that could not be run.

    ``worker`` is used and left running when given.
    """
    ours = worker or AuditWorker()
    try:
        ours.start()
        return [_run_suite(audit, suite, ours) for suite in suites]
    finally:
        if worker is None:
            ours.stop()


def database_url(target: Target, settings: Settings) -> str:
    """The address that audits of a target read from.  It may hold a password.

    Raises ConfigError when the target has no database that can be audited.
    """
    access = target.database
    if access is None:
        raise ConfigError(
            f"target {target.name!r} has no database",
            hint=f"Give targets.{target.name}.database.url, an account that may only read.",
        )
    if settings.database == "live":
        return access.url.reveal()
    if access.replica_url is not None:
        return access.replica_url.reveal()
    if settings.database == "replica":
        raise ConfigError(
            f"target {target.name!r} has no replica_url, and dq.database is replica",
            hint=f"Give targets.{target.name}.database.replica_url, or set dq.database to live.",
        )
    return access.url.reveal()


def _run_suite(audit: Audit, suite: Suite, worker: AuditWorker) -> Run:
    settings = audit.settings
    waived = in_force(audit.waivers, suite, utc_now().date())
    with executing(
        audit.history, Kind.DQ, audit.target, suite.name, config_digest=audit.config_digest
    ) as execution:
        for each in audit.notes:
            execution.finding(each, severity="info", subject=suite.name)
        report_expired(execution, waived)
        try:
            known = audit.ledgers.read(audit.target, suite.name) if audit.ledgers else None
            found = worker.run(
                job_of(suite, settings, audit.url, waived.records, known),
                seen_by(execution, suite, audit.told),
                settings.statement_timeout + PATIENCE_SECONDS,
            )
        except CannotRun as error:
            execution.finding("the audit could not be run", error.hint, "critical", suite.name)
            execution.conclude(Verdict.ERROR, str(error))
        else:
            _conclude(execution, suite, audit, found, waived)
            _keep(execution, audit, found)
    return execution.run


def _keep(execution: Execution, audit: Audit, found: Audited) -> None:
    """Keep what was counted for the next audit; this one is no worse without."""
    if audit.ledgers is None or found.ledger is None:
        return
    try:
        audit.ledgers.write(audit.target, execution.run.subject, found.ledger)
    except CannotRun as error:
        execution.finding(
            "the next audit will count everything", f"{error}", "info", execution.run.subject
        )


def job_of(
    suite: Suite,
    settings: Settings,
    url: str,
    waived: dict[str, tuple[str, ...]] | None = None,
    ledger: Ledger | None = None,
) -> Job:
    """What the worker is told to do; ``waived`` has keys of records by rule."""
    return Job(
        id=1,
        url=url,
        suite=suite,
        country=settings.country,
        as_of=utc_now(),
        statement_timeout=settings.statement_timeout,
        worklist=settings.worklist,
        worklist_rows=settings.worklist_rows,
        groups=settings.groups,
        duty=settings.duty if settings.pace == "gentle" else 1.0,
        slice_rows=settings.slice_rows,
        ledger=ledger,
        references={name: each.against() for name, each in settings.references.items()},
        waived=waived or {},
    )


def seen_by(execution: Execution, suite: Suite, told: Told | None) -> Callable[[str], None]:
    """Tells the history and whoever listens that an audit goes on."""
    last = time.monotonic()

    def seen(stage: str) -> None:
        nonlocal last
        if told is not None:
            told(suite.name, stage)
        if time.monotonic() - last > _BEAT_SECONDS:
            last = time.monotonic()
            execution.beat()

    return seen


def _conclude(
    execution: Execution, suite: Suite, audit: Audit, found: Audited, waived: Holding
) -> None:
    settings = audit.settings
    results = pair(suite.rules_for(found.country), found.counts, waived.rules)
    versions = {**execution.run.tool_versions, **found.versions}
    execution.run = execution.run.with_(tool_versions=versions)
    execution.measures(*measures(found.rows, results))
    execution.measure("audit.seconds", found.seconds, Unit.SECONDS, 1)
    if found.slices is not None:
        share = found.slices_anew / found.slices if found.slices else None
        execution.measure("audit.counted_anew", share, Unit.RATIO, found.slices)
    if audit.target != FILE:  # every file has a past of its own
        fell = drop(audit.history, execution.run, execution.run.measures)
        execution.measures(fell)
        report_drop(execution, fell, settings.drop)
    report(execution, results, found)
    report_decided(execution, results, found, audit.decisions)
    execution.attach("result.json", evidence(suite, results, found))
    for note in found.notes:
        execution.finding(note, severity="info", subject=suite.name)
    if found.shares:
        execution.attach("groups.csv", groups_csv(results, found.shares))
    if settings.worklist != "none":
        execution.attach("worklist.csv", worklist(suite, found.issues))
    execution.conclude(*verdict(suite, settings, found.rows, results, execution.run))


def verdict(
    suite: Suite, settings: Settings, rows: int, results: Sequence[Result], run: Run
) -> tuple[Verdict, str]:
    """The verdict of an audit and its reason.

    A rule that could not run makes it error; too few rows make it unknown; else the objectives
    and every rule's threshold decide, rules that saw nothing included unless optional.  A sampled
    rule fails when its whole interval lies below the threshold, and is unknown when only a part.
    """
    broken = [each for each in results if each.status == "error"]
    if broken:
        named = "; ".join(f"{each.rule.id}: {each.count.reason}" for each in broken[:3])
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        number = f"{len(broken)} of {len(results)} rules could not run"
        return Verdict.ERROR, f"{number}: {named}{more}"
    wanted = max(settings.minimum_rows, suite.minimum_rows)
    if rows == 0:
        return Verdict.UNKNOWN, f"table {suite.table} is empty"
    if rows < wanted:
        return Verdict.UNKNOWN, f"table {suite.table} has {rows} rows, {wanted} are wanted"
    judgement = judge(run.measures, [*settings.objectives, *_thresholds(results)])
    dumb = [each for each in results if each.count.status == "unknown" and each.waiver is None]
    if judgement.verdict is not Verdict.FAIL and dumb:
        named = "; ".join(f"{each.rule.id}: {each.count.reason}" for each in dumb[:3])
        return Verdict.UNKNOWN, f"{len(dumb)} rules had nothing to compare with: {named}"
    unclear = [each for each in results if each.status == "unknown" and each.unclear]
    if judgement.verdict is Verdict.PASS and unclear:
        named = ", ".join(each.rule.id for each in unclear)
        return Verdict.UNKNOWN, f"too small a sample to tell: {named}"
    return judgement.verdict, judgement.reason


def _thresholds(results: Sequence[Result]) -> list[Objective]:
    return [
        Objective(
            measure=f"rule.score{'.high' if each.rule.sample else ''}{{{each.rule.id}}}",
            op=">=",
            limit=each.rule.threshold,
            unit=Unit.RATIO,
        )
        for each in results
        if each.waiver is None and (each.counted or not each.rule.optional)
    ]
