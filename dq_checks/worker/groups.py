"""A and B by owner, team, region and source: one more scan, and a query for some rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dq_checks.messages import Count, Job, Share
from dq_checks.worker.engine import NAMED, AuditEngine
from dq_checks.worker.issues import bad_rows
from dq_checks.worker.references import compared
from dq_checks.worker.refusals import explain
from dq_checks.worker.waived import waived_by_group

if TYPE_CHECKING:
    from dq_checks.worker.audit import Compiled

MOST_GROUPS = 20_000
Group = tuple[Any, ...]
Teams = dict[Any, tuple[Any, Any]]


def grouped(
    engine: AuditEngine, rules: Sequence[Compiled], counts: Sequence[Count], job: Job
) -> tuple[list[Share], list[str]]:
    """The share of each group of records in each rule that was counted, and what went wrong."""
    counted = {each.rule for each in counts if each.status == "counted" and each.checked}
    wanted = [each for each in rules if each.rule.id in counted]
    suite = engine.suite
    columns = {suite.owner_column, suite.region_column, suite.source_column} & {*engine.table.kinds}
    if not columns or not wanted or engine.spent():
        return [], []
    try:
        found = _counts(engine, wanted)
        _take_waived(engine, wanted, found, job)
        teams, notes = _teams(engine)
    except SQLAlchemyError as error:
        return [], [f"no scores by owner: {explain(error)}"]
    if len(found) > MOST_GROUPS:
        return [], [f"no scores by owner: there are more than {MOST_GROUPS} owners"]
    return [
        _share(group, compiled.rule.id, numbers, teams)
        for group, shares in found.items()
        for compiled, numbers in zip(wanted, shares, strict=True)
    ], notes


def _counts(engine: AuditEngine, rules: Sequence[Compiled]) -> dict[Group, list[list[int]]]:
    """For each group the [B, A] of each rule."""
    how = [each.how for each in rules]
    terms = [each.checked for each in how] + [each.good or each.checked for each in how]
    size = len(rules)
    _, *by = engine.named()
    found = {
        group: [[numbers[at], numbers[size + at]] for at in range(size)]
        for group, numbers in engine.tally.count(terms, by, MOST_GROUPS).items()
    }
    needing = [] if len(found) > MOST_GROUPS else list(enumerate(rules))
    for at, each in needing:
        if each.how.how == "rows":
            continue
        if each.how.how == "against":  # not all that it is about can be compared
            for numbers in found.values():
                numbers[at] = [0, 0]
            for group, number in _numbers(engine, compared(each.how, engine)):
                found[group][at] = [number, number]
        for group, number in _numbers(engine, bad_rows(engine, each)):
            found[group][at][1] -= number
    return found


def _numbers(engine: AuditEngine, rows: sa.Select[Any]) -> Iterator[tuple[Group, int]]:
    """How many of the rows each group has."""
    named = rows.order_by(None).subquery("named")
    group = [named.c[each] for each in NAMED[1:]]
    query = sa.select(*group, sa.func.count()).group_by(*group)
    for *of, number in engine.execute_query(query).all():
        yield tuple(of), number


def _take_waived(
    engine: AuditEngine,
    rules: Sequence[Compiled],
    found: dict[Group, list[list[int]]],
    job: Job,
) -> None:
    """Take the bad elements of waived records out of B, as in the whole."""
    for at, each in enumerate(rules):
        for group, number in waived_by_group(
            engine, each, job.waived.get(each.rule.id, ())
        ).items():
            if group in found:
                found[group][at][0] -= number


def _teams(engine: AuditEngine) -> tuple[Teams, list[str]]:
    """The team and region of each owner."""
    where = engine.suite.owners
    if where is None:
        return {}, []
    names = [where.key, where.team, where.region]
    columns = [sa.column(each) if each else sa.null() for each in names]
    table = sa.table(where.table, schema=engine.suite.table_schema)
    try:
        rows = engine.execute_query(sa.select(*columns).select_from(table)).all()
    except SQLAlchemyError as error:
        return {}, [f"no scores by team: table {where.table}: {explain(error)}"]
    return {row[0]: (row[1], row[2]) for row in rows}, []


def _share(group: Group, rule: str, numbers: Sequence[int], teams: Teams) -> Share:
    owner, region, source = group
    team, home = teams.get(owner, (None, None))
    return Share(
        owner=_text(owner), team=_text(team), region=_text(region or home), source=_text(source),
        rule=rule, checked=numbers[0], good=numbers[1],
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
