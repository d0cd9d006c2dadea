"""A migration's validation, start to end: plan, sides, comparison, orphans, verdict, record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import get_args

from crmops.errors import CrmopsError, UsageError
from crmops.execute import Execution, executing
from crmops.history import History
from crmops.record import Kind, Run, Unit, Verdict
from crmops.verdict import Objective, judge
from dq_checks.migration.compare import Comparison, compare
from dq_checks.migration.compile import source_field, target_field
from dq_checks.migration.digest import View
from dq_checks.migration.evidence import differences, document
from dq_checks.migration.orphans import Orphans, find_orphans
from dq_checks.migration.plan import FieldSettings, Loaded, Measured, Plan
from dq_checks.migration.report import measure, report
from dq_checks.migration.scratch import scratch
from dq_checks.migration.sides import Place, Side, open_side, quicken

GUIDE = "docs/migration.md"
ALL = "all"
_COUNTED: tuple[Measured, ...] = get_args(Measured)


@dataclass(frozen=True)
class Job:
    """What all batches of one command share.

    ``address_of`` gives the database address of a target of crmops.yaml.
    """

    loaded: Loaded[Plan]
    target: str
    history: History
    address_of: Callable[[str], str]
    told: Callable[[str], None] = lambda _: None

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.loaded.plan

    def subject(self, batch: str, what: str = "") -> str:
        """What a Run about a batch is about."""
        return f"migration{what}:{self.plan.name}/{batch}"


def batches(plan: Plan, wanted: str = "") -> list[str]:
    """The batches to look at.  Raises UsageError for one that the plan lacks."""
    names = list(plan.batches.names) if plan.batches else [ALL]
    if wanted and wanted not in names:
        raise UsageError(
            f"the plan has no batch {wanted!r}", hint=f"There are: {', '.join(names)}."
        )
    return [wanted] if wanted else names


def validate(job: Job, batch: str) -> Run:
    """Validate a batch and record it, also when it could not be compared.

    Raises ConfigError for a plan whose columns are not there; that is recorded as well.
    """
    import duckdb

    with executing(
        job.history,
        Kind.DQ,
        job.target,
        job.subject(batch),
        config_digest=job.loaded.digest,
        tool_versions={"duckdb": duckdb.__version__},
    ) as execution:
        job.told(batch)
        try:
            with place(job) as here:
                found, orphans, unmapped = _look(job, batch, here)
        except CrmopsError as error:
            if isinstance(error, UsageError):
                raise
            execution.finding("the batch could not be compared", error.hint, "critical", batch)
            execution.conclude(Verdict.ERROR, str(error))
        else:
            _conclude(execution, job.plan, batch, found, orphans, unmapped)
    return execution.run


@contextmanager
def place(job: Job) -> Iterator[Place]:
    """Scratch for one batch; connections are closed at the end."""
    with scratch() as made, ExitStack() as closing:
        timeout = job.plan.statement_timeout
        yield Place(made, job.loaded.directory, job.address_of, timeout, closing)


def _look(
    job: Job, batch: str, here: Place
) -> tuple[Comparison, list[Orphans], dict[str, list[str]]]:
    plan = job.plan
    source = open_side(plan.source, "source", batch, here)
    target = open_side(plan.target, "target", batch, here)
    check_columns(job.loaded, source, target)
    quicken(source, target)
    views = view_of(plan, source, batch), view_of(plan, target, batch)
    made = compare(*views, here.scratch, listed=plan.listed, sample=plan.sample)
    orphans = find_orphans(plan, views[1], here)
    return made, orphans, unmapped_columns(plan, source, target)


def view_of(plan: Plan, side: Side, batch: str) -> View:
    """What is compared of a side in a batch."""
    compiled = source_field if side.label == "source" else target_field
    key = tuple(compiled(each, side.columns, side.dialect) for each in plan.key)
    rest = tuple(compiled(each, side.columns, side.dialect) for each in plan.fields)
    column = getattr(plan.batches, side.label) if plan.batches else None
    return View(side, key, rest, side.dialect.equals(column, batch) if column else "")


def check_columns(loaded: Loaded[Plan], source: Side, target: Side) -> None:
    """Raises ConfigError, to the line, for a column that is not there."""
    plan = loaded.plan
    for part, fields in (("key", plan.key), ("fields", plan.fields)):
        for at, each in enumerate(fields):
            _check_field(loaded, (part, at), each, source, target)
    for side in (source, target):
        column = getattr(plan.batches, side.label) if plan.batches else None
        if column is not None and column not in side.columns:
            raise loaded.no_column(("batches", side.label), side.label, column, [*side.columns])


def _check_field(
    loaded: Loaded[Plan], key: tuple[str, int], field: FieldSettings, source: Side, target: Side
) -> None:
    for each in field.sources:
        if each not in source.columns:
            where = "concat" if field.concat else "from" if field.column else "name"
            raise loaded.no_column((*key, where), "source", each, [*source.columns])
    if field.name not in target.columns:
        raise loaded.no_column((*key, "name"), "target", field.name, [*target.columns])


def unmapped_columns(plan: Plan, source: Side, target: Side) -> dict[str, list[str]]:
    """Columns that neither a field nor ``ignore`` nor ``batches`` accounts for."""
    used = {
        "source": {name for each in plan.all_fields for name in each.sources},
        "target": {each.name for each in plan.all_fields},
    }
    found = {}
    for side in (source, target):
        column = getattr(plan.batches, side.label) if plan.batches else None
        known = {*used[side.label], *getattr(plan.ignore, side.label), column}
        found[side.label] = [each for each in side.columns if each not in known]
    return found


def _conclude(
    execution: Execution,
    plan: Plan,
    batch: str,
    found: Comparison,
    orphans: list[Orphans],
    unmapped: dict[str, list[str]],
) -> None:
    measure(execution, found, orphans, unmapped)
    report(execution, batch, found, orphans, unmapped)
    execution.attach("comparison.json", document(plan, batch, found, orphans, unmapped))
    if found.differences or any(each.rows for each in orphans):
        execution.attach("differences.csv", differences(plan, found, orphans))
    if not found.source.rows and not found.target.rows:
        execution.conclude(Verdict.UNKNOWN, f"batch {batch} is empty on both sides")
        return
    objectives = [
        Objective(measure=each, op="<=", limit=plan.limits.get(each, 0), unit=Unit.COUNT)
        for each in _COUNTED
        if each != "rows.orphaned" or plan.references
    ]
    judgement = judge(execution.run.measures, objectives)
    reason = f"{found.source.rows} rows arrived as they were sent"
    if any(plan.limits.values()):
        reason = f"{found.source.rows} rows compared, differences within the limits of the plan"
    passed = judgement.verdict is Verdict.PASS
    execution.conclude(judgement.verdict, reason if passed else judgement.reason)
