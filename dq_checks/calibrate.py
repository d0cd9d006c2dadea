"""Trust in the audit: every rule against defects that were planted for it to find.

The reference CRM keeps the truth about its planted defects in a table.  A rule says with
``finds`` which of them it should name; recall is the share of those that it names, precision the
share of what it names that was planted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from crmops.errors import CannotRun
from crmops.execute import Execution, executing
from crmops.record import Kind, Measure, Run, Unit, Verdict
from crmops.verdict import Objective, judge
from dq_checks.client import AuditWorker
from dq_checks.messages import Audited
from dq_checks.run import PATIENCE_SECONDS, Audit, job_of, seen_by
from dq_checks.suite import Planted, Rule, Suite
from dq_checks.worker.refusals import explain
from dq_checks.worker.session import JobProblem, reading

GOAL = 0.99
"""The least recall and precision of a rule."""

MOST_RECORDS = 100_000
SUBJECT = "calibrate"
_TRUTH = sa.table(
    "defects",
    sa.column("entity"),
    sa.column("record_id"),
    sa.column("kind"),
    sa.column("field"),
    sa.column("of_record_id"),
)


@dataclass(frozen=True)
class Calibrated:
    """What a rule named and what it should have named: keys of records."""

    rule: Rule
    named: frozenset[str]
    planted: frozenset[str]

    @property
    def recall(self) -> float | None:
        """The share of the planted that it named; None when nothing was planted."""
        return len(self.named & self.planted) / len(self.planted) if self.planted else None

    @property
    def precision(self) -> float | None:
        """The share of what it named that was planted; None when it named nothing."""
        return len(self.named & self.planted) / len(self.named) if self.named else None


def calibrate(
    audit: Audit, suites: Sequence[Suite], worker: AuditWorker | None = None
) -> list[Run]:
    """Calibrate the rules of suites on a target with planted defects; a Run for each suite."""
    ours = worker or AuditWorker()
    try:
        return [_calibrate(audit, suite, ours) for suite in suites]
    finally:
        if worker is None:
            ours.stop()


def measure(
    audit: Audit, suite: Suite, worker: AuditWorker, seen: Callable[[str], None]
) -> list[Calibrated]:
    """What each rule of a suite named and should have named.  Raises CannotRun."""
    every = {"worklist": "all", "worklist_rows": MOST_RECORDS, "groups": False}
    job = job_of(suite, audit.settings.model_copy(update=every), audit.url)
    found = worker.run(job, seen, audit.settings.statement_timeout + PATIENCE_SECONDS)
    return _compare(audit, suite, found)


def _calibrate(audit: Audit, suite: Suite, worker: AuditWorker) -> Run:
    subject = f"{SUBJECT}.{suite.name}"
    with executing(
        audit.history, Kind.DQ, audit.target, subject, config_digest=audit.config_digest
    ) as execution:
        try:
            results = measure(audit, suite, worker, seen_by(execution, suite, audit.told))
        except CannotRun as error:
            execution.finding("the rules could not be calibrated", error.hint, "critical", subject)
            execution.conclude(Verdict.ERROR, str(error))
        else:
            _conclude(execution, results)
    return execution.run


def _compare(audit: Audit, suite: Suite, found: Audited) -> list[Calibrated]:
    rules = [each for each in suite.rules_for(found.country) if each.finds is not None]
    counted = {each.rule for each in found.counts if each.status == "counted"}
    named: dict[str, set[str]] = {each.id: set() for each in rules}
    for issue in found.issues:
        if issue.rule in named:
            named[issue.rule].add(issue.key)
    try:
        with reading(audit.url, audit.settings.statement_timeout) as connection:
            return [
                Calibrated(each, frozenset(named[each.id]), _planted(connection, suite, each.finds))
                for each in rules
                if each.id in counted and each.finds is not None
            ]
    except JobProblem as problem:
        raise CannotRun(problem.reason, hint=problem.hint) from None
    except SQLAlchemyError as error:
        raise CannotRun(
            f"the planted defects cannot be read: {explain(error)}",
            hint="Calibrate on a reference CRM: its table defects has the truth.",
        ) from None


def _planted(connection: sa.Connection, suite: Suite, what: Planted) -> frozenset[str]:
    """The records with a planted defect; of a pair of duplicates both."""
    columns = [_TRUTH.c.record_id]
    if what.kind.endswith("duplicate"):
        columns.append(_TRUTH.c.of_record_id)
    where = [_TRUTH.c.entity == suite.name, _TRUTH.c.kind == what.kind]
    if what.field is not None:
        where.append(_TRUTH.c.field == what.field)
    rows = connection.execute(sa.select(*columns).where(*where))
    return frozenset(str(key) for row in rows for key in row)


def _conclude(execution: Execution, results: Sequence[Calibrated]) -> None:
    measures: list[Measure] = []
    objectives: list[Objective] = []
    for each in results:
        for name, value, seen in (
            (f"rule.recall{{{each.rule.id}}}", each.recall, len(each.planted)),
            (f"rule.precision{{{each.rule.id}}}", each.precision, len(each.named)),
        ):
            measures.append(Measure(name=name, value=value, unit=Unit.RATIO, observed=seen))
            objectives.append(Objective(measure=name, op=">=", limit=GOAL, unit=Unit.RATIO))
        if each.recall == 0:
            execution.finding(
                f"a rule finds nothing that it should: {each.rule.title}",
                f"{len(each.planted)} were planted",
                "critical",
                each.rule.id,
            )
    execution.measures(*measures)
    if not results:
        execution.conclude(Verdict.UNKNOWN, "no rule of this suite says what it should find")
        return
    execution.conclude_by(judge(measures, objectives))
