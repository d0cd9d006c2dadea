"""The keys of the records that break a rule, fetched after the counting and within bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dq_checks.expressions import expression, key_part
from dq_checks.messages import Count, Issue, Job
from dq_checks.worker.engine import NAMED, AuditEngine
from dq_checks.worker.expectations import dangling, repeated
from dq_checks.worker.references import compared

if TYPE_CHECKING:
    from dq_checks.worker.audit import Compiled

_BATCH = 500


def failing(
    engine: AuditEngine, rules: Sequence[Compiled], counts: Sequence[Count], job: Job
) -> tuple[list[Issue], list[str]]:
    """The issues of the rules that the job wants listed, and the rules with more than it takes."""
    if job.worklist == "none" or engine.spent():
        return [], []
    found = {each.rule: each for each in counts if each.status == "counted"}
    issues: list[Issue] = []
    shortened: list[str] = []
    for each in rules:
        count = found.get(each.rule.id)
        if count is None or not _wanted(count, each.rule.threshold, job):
            continue
        began = time.monotonic()
        try:
            listed = _listed(engine, each, job)
        except SQLAlchemyError:  # the counts stand without the list
            shortened.append(each.rule.id)
            continue
        engine.rest(began)
        issues += listed
        if len(listed) < count.checked - count.good:
            shortened.append(each.rule.id)
    return issues, shortened


def _listed(engine: AuditEngine, compiled: Compiled, job: Job) -> list[Issue]:
    """The first records that nobody answers for."""
    waived = {*job.waived.get(compiled.rule.id, ())}
    keys = _keys(engine, compiled, job.worklist_rows + len(waived))
    return [each for each in keys if each.key not in waived][: job.worklist_rows]


def _wanted(count: Count, threshold: float, job: Job) -> bool:
    bad = count.checked - count.good
    return bad > 0 and (job.worklist == "all" or count.good < threshold * count.checked)


def _keys(engine: AuditEngine, compiled: Compiled, limit: int) -> Iterator[Issue]:
    query = bad_rows(engine, compiled).limit(limit)
    with (
        engine.connection.begin_nested(),
        engine.connection.execute(query.execution_options(yield_per=_BATCH)) as rows,
    ):
        for key, owner, *_ in rows:
            yield Issue(
                rule=compiled.rule.id, key=str(key), owner="" if owner is None else str(owner)
            )


def bad_rows(engine: AuditEngine, compiled: Compiled) -> sa.Select[Any]:
    """The rows that break a rule, under the names of ``NAMED``."""
    return _QUERIES[compiled.how.how](engine, compiled)


def _breaking(engine: AuditEngine, compiled: Compiled) -> sa.Select[Any]:
    kinds, how = engine.table.kinds, compiled.how
    good = sa.func.coalesce(expression(how.good, kinds), sa.false())
    return (
        sa.select(*engine.named())
        .select_from(engine.table.source)
        .where(expression(how.checked, kinds), sa.not_(good))
    )


def _shared_keys(engine: AuditEngine, compiled: Compiled) -> sa.Select[Any]:
    how, kinds = compiled.how, engine.table.kinds
    parts = [key_part(each, kinds, ignore_case=how.ignore_case) for each in how.columns]
    groups = repeated(how, engine).having(sa.func.count() > 1).subquery("groups")
    rows = (
        sa.select(*engine.named(), *[each.label(f"k{at}") for at, each in enumerate(parts)])
        .select_from(engine.table.source)
        .where(expression(how.checked, kinds))
        .subquery("rows")
    )
    same = sa.and_(*(rows.c[f"k{at}"] == groups.c[f"k{at}"] for at in range(len(parts))))
    return (
        sa.select(*(rows.c[each] for each in NAMED))
        .select_from(rows.join(groups, same))
        .order_by(*(rows.c[f"k{at}"] for at in range(len(parts))), rows.c.row_key)
    )


def _dangling(engine: AuditEngine, compiled: Compiled) -> sa.Select[Any]:
    return dangling(compiled.how, engine)


def _disagreeing(engine: AuditEngine, compiled: Compiled) -> sa.Select[Any]:
    rows = compared(compiled.how, engine).subquery("compared")
    return sa.select(*(rows.c[each] for each in NAMED)).where(sa.not_(rows.c.agrees))


_QUERIES = {
    "rows": _breaking, "unique": _shared_keys, "reference": _dangling, "against": _disagreeing,
}  # fmt: skip
