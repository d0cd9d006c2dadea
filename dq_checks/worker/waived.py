"""Records that somebody answers for: bad ones among them leave the counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dq_checks.messages import Count, Job
from dq_checks.worker.engine import NAMED, AuditEngine
from dq_checks.worker.issues import bad_rows
from dq_checks.worker.refusals import explain

if TYPE_CHECKING:
    from dq_checks.worker.audit import Compiled

Owners = dict[tuple[Any, ...], int]
_BATCH = 1_000


def without_waived(
    engine: AuditEngine, rules: Sequence[Compiled], counts: Sequence[Count], job: Job
) -> list[Count]:
    """The counts without the bad elements of waived records, which are counted apart."""
    found = {each.rule.id: each for each in rules}
    return [
        _less(engine, found[each.rule], each, job)
        if each.status == "counted" and each.rule in found and each.rule in job.waived
        else each
        for each in counts
    ]


def waived_by_group(engine: AuditEngine, compiled: Compiled, keys: Sequence[str]) -> Owners:
    """How many bad rows each group has among waived records."""
    found: Owners = {}
    for at in range(0, len(keys), _BATCH):
        bad = bad_rows(engine, compiled).order_by(None).subquery("bad")
        named = sa.cast(bad.c.row_key, sa.String()).in_(keys[at : at + _BATCH])
        group = [bad.c[each] for each in NAMED[1:]]
        query = sa.select(*group, sa.func.count()).where(named).group_by(*group)
        for *of, number in engine.execute_query(query).all():
            found[tuple(of)] = found.get(tuple(of), 0) + number
    return found


def _less(engine: AuditEngine, compiled: Compiled, count: Count, job: Job) -> Count:
    try:
        waived = sum(waived_by_group(engine, compiled, job.waived[count.rule]).values())
    except SQLAlchemyError as error:  # whether the rule is good enough is then not known
        return Count(rule=count.rule, status="error", reason=explain(error))
    return count.model_copy(update={"checked": count.checked - waived, "waived": waived})
