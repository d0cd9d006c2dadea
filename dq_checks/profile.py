"""Column profiles: how full, how varied and of what shape the columns of a table are.

Values are shown only where a suite lists them as allowed; everything else is counted and described
by its shape, for a profile is passed around and a column's name does not tell what is in it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from crmops.errors import CannotRun
from crmops.execute import Execution, executing
from crmops.record import Kind as RunKind
from crmops.record import Run, Unit, Verdict
from crmops.verdict import Objective, judge
from dq_checks.dialects import characters, shape
from dq_checks.expressions import Kind, as_text, expression, key_part
from dq_checks.run import Audit
from dq_checks.suite import Suite
from dq_checks.worker.refusals import explain
from dq_checks.worker.session import JobProblem, Table, inspect, reading

SUBJECT = "profile"
TOP = 10
"""So many shapes or values are shown of a column."""

PERSONAL: Final = re.compile(
    "birth|salary|income|passport|resident|wechat|phone|mobile|fax|mail|address|(^|_)(ssn|tax)"
)
"""Columns whose least and greatest values may say something about a person."""

_ORDERED = ("number", "date", "time")
_WHOLE = Objective(measure="columns.failed", op="==", limit=0, unit=Unit.COUNT)


@dataclass
class Column:
    """What is known of one column; ``problem`` says why something is not."""

    name: str
    kind: Kind
    rows: int = 0
    missing: int = 0
    distinct: int | None = None
    least: str | None = None
    greatest: str | None = None
    shapes: list[tuple[str, int]] = field(default_factory=list)
    values: list[tuple[str, int]] = field(default_factory=list)
    problem: str = ""


def profile_suites(audit: Audit, suites: Sequence[Suite], share: float = 1.0) -> list[Run]:
    """Profile the tables of suites; a Run for each, with the subject ``profile.NAME``.

    With a ``share`` below 1 only so many of the rows are looked at, the same ones every time.
    """
    return [_profile(audit, suite, share) for suite in suites]


def _profile(audit: Audit, suite: Suite, share: float) -> Run:
    subject = f"{SUBJECT}.{suite.name}"
    with executing(
        audit.history, RunKind.DQ, audit.target, subject, config_digest=audit.config_digest
    ) as execution:
        began = time.monotonic()
        try:
            columns = _look(audit, suite, share, execution)
        except CannotRun as error:
            execution.finding("the table could not be profiled", error.hint, "critical", subject)
            execution.conclude(Verdict.ERROR, str(error))
        else:
            execution.measure("profile.seconds", time.monotonic() - began, Unit.SECONDS, 1)
            _conclude(execution, suite, columns, share)
    return execution.run


def _look(audit: Audit, suite: Suite, share: float, execution: Execution) -> list[Column]:
    settings = audit.settings
    gentle = settings.pace == "gentle"
    try:
        with reading(audit.url, settings.statement_timeout, gentle=gentle) as connection:
            table = inspect(connection, suite)
            source = _drawn(table, suite, share)
            columns = [Column(name, kind) for name, kind in table.kinds.items()]
            _count(connection, table, source, columns)
            allowed = _allowed(suite)
            for each in columns:
                if audit.told is not None:
                    audit.told(suite.name, each.name)
                execution.beat()
                began = time.monotonic()
                _describe(connection, table, source, each, allowed.get(each.name, ()))
                if gentle:  # the server does other things most of the time
                    time.sleep((time.monotonic() - began) * (1 / settings.duty - 1))
            return columns
    except JobProblem as problem:
        raise CannotRun(problem.reason, hint=problem.hint) from None
    except SQLAlchemyError as error:
        raise CannotRun(f"the columns cannot be counted: {explain(error)}") from None


def _drawn(table: Table, suite: Suite, share: float) -> sa.FromClause:
    """The rows to look at."""
    if share >= 1:
        return table.source
    drawn = expression(["sampled", suite.key, share], table.kinds)
    return sa.select(*table.source.c).select_from(table.source).where(drawn).subquery("drawn")


def _allowed(suite: Suite) -> dict[str, tuple[str, ...]]:
    return {
        each.column: tuple(str(value) for value in each.values)
        for each in suite.rules
        if each.check == "one_of" and each.column is not None
    }


def _count(
    connection: sa.Connection, table: Table, source: sa.FromClause, columns: Sequence[Column]
) -> None:
    """Rows, missing values and ends of all columns, in one scan."""
    sums: list[Any] = [sa.func.count()]
    for each in columns:
        sums.append(sa.func.count(sa.case((expression(["blank", each.name], table.kinds), 1))))
        sums += [end(_ordered(each, table)) for end in (sa.func.min, sa.func.max)]
    rows, *found = connection.execute(sa.select(*sums).select_from(source)).one()
    for at, each in enumerate(columns):
        each.rows, each.missing = rows, found[3 * at]
        if each.kind == "text" or _ends(each):
            each.least, each.greatest = map(_shown, found[3 * at + 1 : 3 * at + 3])


def _ordered(column: Column, table: Table) -> Any:
    """What the least and greatest are of: the value where it may be shown, a text's length."""
    if column.kind == "text":
        return characters(as_text(column.name, table.kinds))
    return sa.column(column.name) if _ends(column) else sa.null()


def _ends(column: Column) -> bool:
    return column.kind in _ORDERED and not PERSONAL.search(column.name.lower())


def _shown(value: object) -> str | None:
    return None if value is None else str(value)


def _describe(
    connection: sa.Connection,
    table: Table,
    source: sa.FromClause,
    column: Column,
    allowed: Sequence[str],
) -> None:
    """The number of distinct values, and the commonest shapes or allowed values."""
    present = expression(["filled", column.name], table.kinds)
    plain = column.kind != "other"  # whatever it is, as text it can be compared
    key = (key_part if plain else as_text)(column.name, table.kinds)
    try:
        with connection.begin_nested():
            query = sa.select(sa.func.count(sa.distinct(key))).select_from(source).where(present)
            column.distinct = connection.execute(query).scalar_one()
            if column.kind != "text":
                return
            text = as_text(column.name, table.kinds)
            label = sa.case((text.in_(allowed), text), else_="(other)") if allowed else shape(text)
            counted = sa.select(label.label("what")).select_from(source).where(present).subquery()
            number = sa.func.count()
            top = (
                sa.select(counted.c.what, number)
                .group_by(counted.c.what)
                .order_by(number.desc(), counted.c.what)
                .limit(TOP)
            )
            found = [(str(what), int(seen)) for what, seen in connection.execute(top)]
    except SQLAlchemyError as error:
        column.problem = explain(error)
        return
    if allowed:
        column.values = found
    else:
        column.shapes = found


def _conclude(execution: Execution, suite: Suite, columns: Sequence[Column], share: float) -> None:
    rows = columns[0].rows if columns else 0
    execution.measure("profile.rows", rows, Unit.COUNT, rows)
    failed = [each for each in columns if each.problem]
    execution.measure("columns.failed", len(failed), Unit.COUNT, len(columns))
    for each in columns:
        missing = each.missing / rows if rows else None
        execution.measure(f"column.missing{{{each.name}}}", missing, Unit.RATIO, rows)
        execution.measure(f"column.distinct{{{each.name}}}", each.distinct, Unit.COUNT, rows)
        if each.problem:
            execution.finding("a column has no profile", each.problem, "warning", each.name)
        elif rows and each.missing == rows:
            execution.finding("a column is empty", f"in all {rows} rows", "info", each.name)
    document = {
        "schema": 1, "suite": suite.name, "table": suite.table, "share": share, "rows": rows,
        "columns": [asdict(each) for each in columns],
    }  # fmt: skip
    execution.attach("profile.json", json.dumps(document, ensure_ascii=False, indent=1))
    if not rows:
        execution.conclude(Verdict.UNKNOWN, f"table {suite.table} is empty")
        return
    execution.conclude_by(judge(execution.run.measures, [_WHOLE]))
