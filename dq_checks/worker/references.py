"""Second sources, read into memory once for all rules of a job, and compared with by SQL."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from crmops.errors import CrmopsError
from crmops.units import human_seconds
from dq_checks.conditions import Counting
from dq_checks.dialects import BLANKS, folded, stripped
from dq_checks.expressions import RuleProblem, as_text, expression
from dq_checks.files import reading as reading_file
from dq_checks.messages import Against, Job
from dq_checks.worker.refusals import explain
from dq_checks.worker.relations import relation
from dq_checks.worker.session import JobProblem, reading

if TYPE_CHECKING:
    from dq_checks.worker.engine import AuditEngine

MOST = 5_000_000
"""Rows of a second source, at most: they are held in memory and sent to the CRM's database."""

Line = tuple[str, ...]


class Missing(Exception):
    """A second source that says nothing; the message says why, and nothing of what it holds."""


class References:
    """The second sources of a job; each is read when a rule first asks for it."""

    def __init__(self, job: Job) -> None:
        self._known = job.references
        self._timeout = job.statement_timeout
        self._read: dict[tuple[str, Line], list[Line] | Missing] = {}

    def lines(self, name: str, fields: Line) -> list[Line]:
        """The different lines of filled fields.  Raises Missing."""
        key = (name, fields)
        if key not in self._read:
            try:
                self._read[key] = self._load(name, fields)
            except Missing as problem:
                self._read[key] = problem
        found = self._read[key]
        if isinstance(found, Missing):
            raise found
        return found

    def _load(self, name: str, fields: Line) -> list[Line]:
        against = self._known.get(name)
        if against is None:
            raise Missing(f"dq.references has no {name}")
        try:
            rows = self._query(against, fields) if against.url else _file(against, fields)
        except Missing as problem:
            raise Missing(f"reference {name}: {problem}") from None
        if not rows:
            raise Missing(f"reference {name} holds nothing")
        return rows

    def _query(self, against: Against, fields: Line) -> list[Line]:
        try:
            url = sa.make_url(against.url)
        except SQLAlchemyError:
            raise Missing("the database's address cannot be read") from None
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise Missing("there is no such database file")
        try:
            with reading(against.url, self._timeout) as connection:
                asked = sa.text(against.query.rstrip("; \n").replace(":", r"\:"))
                answer = connection.execution_options(yield_per=10_000).execute(asked)
                return _lines(list(answer.keys()), answer, fields)
        except JobProblem as problem:
            raise Missing(problem.reason) from None
        except SQLAlchemyError as error:
            raise Missing(explain(error)) from None


def _file(against: Against, fields: Line) -> list[Line]:
    path = Path(against.file)
    try:
        if against.max_age is not None:
            age = time.time() - path.stat().st_mtime
            if age > against.max_age:
                old, most = human_seconds(age), human_seconds(against.max_age)
                raise Missing(f"{path.name} is {old} old, {most} are allowed")
        with reading_file(path) as records:
            return _lines(records.columns, records.rows, fields)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Missing(f"{path.name} cannot be read: {reason}") from None
    except CrmopsError as error:
        raise Missing(str(error).replace(str(path), path.name)) from None


def _lines(columns: Sequence[str], rows: Iterable[Any], fields: Line) -> list[Line]:
    absent = [each for each in fields if each not in columns]
    if absent:
        raise Missing(f"there is no column {absent[0]!r}, but: {', '.join(columns)}")
    places = [[*columns].index(each) for each in fields]
    found: dict[Line, None] = {}
    for row in rows:
        line = tuple("" if row[at] is None else str(row[at]).strip(BLANKS) for at in places)
        if all(line):
            found[line] = None
        if len(found) > MOST:
            raise Missing(f"there are more than {MOST} rows")
    return list(found)


def compared(how: Counting, engine: AuditEngine) -> sa.Select[Any]:
    """The rows that can be compared with a second source, and whether it agrees (``agrees``).

    ``how.columns`` is the column, and for a comparison by key the column with the key.  Joins,
    and no EXISTS: every engine hashes them, also beside a hundred thousand lines.
    """
    number = engine.table.kinds[how.columns[0]] == "number"
    ours = [_side(each, engine, how) for each in how.columns]
    if number:
        ours[0] = sa.column(how.columns[0])
    labels = [each.label(f"our_{at}") for at, each in enumerate(ours)]
    rows = (
        sa.select(*engine.named(), *labels)
        .select_from(engine.table.source)
        .where(expression(how.checked, engine.table.kinds))
        .subquery("compared_rows")
    )
    other = _relation(how, engine)
    value = other.c.other_number if number else _fold(other.c.other_value, how)
    key = _fold(other.c.other_key, how)
    theirs = _once([value, key][: len(ours)], "theirs")
    joined: sa.FromClause = rows
    if len(ours) == 2:
        keys = _once([key], "their_keys")
        joined = joined.join(keys, keys.c.their_0 == rows.c.our_1)
    same = [theirs.c[f"their_{at}"] == rows.c[f"our_{at}"] for at in range(len(ours))]
    joined = joined.outerjoin(theirs, sa.and_(*same))
    named = [rows.c[each.name] for each in engine.named()]
    agrees = theirs.c.their_0.is_not(None).label("agrees")
    return sa.select(*named, agrees).select_from(joined)


def _once(values: Sequence[sa.ColumnElement[Any]], name: str) -> sa.Subquery:
    """Different lines of these values, none of them null."""
    labels = [each.label(f"their_{at}") for at, each in enumerate(values)]
    filled = [each.is_not(None) for each in values]
    return sa.select(*labels).where(*filled).distinct().subquery(name)


def check(how: Counting, engine: AuditEngine) -> None:
    """Raises RuleProblem for columns that cannot be compared, Missing without a second source."""
    for each in how.columns:
        as_text(each, engine.table.kinds)
        kind = engine.table.kinds[each]
        if kind not in ("text", "number", "date"):
            raise RuleProblem(f"column {each} holds a {kind}; text, numbers and dates are compared")
    engine.references.lines(how.table, tuple(how.fields))


def _side(name: str, engine: AuditEngine, how: Counting) -> sa.ColumnElement[Any]:
    return _fold(stripped(as_text(name, engine.table.kinds)), how)


def _fold(value: sa.ColumnElement[Any], how: Counting) -> sa.ColumnElement[Any]:
    return folded(value) if how.ignore_case else value


def _relation(how: Counting, engine: AuditEngine) -> Any:
    """The second source's lines as a relation of the CRM's database."""
    lines = engine.references.lines(how.table, tuple(how.fields))
    values = [each[0] for each in lines]
    keys = [each[-1] for each in lines]
    return relation(engine.connection, keys, values, [_number(each) for each in values])


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
