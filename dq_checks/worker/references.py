"""Second sources, read into memory once for all rules of a job, and compared with by SQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError

from crmops.errors import CrmopsError
from crmops.units import human_seconds
from dq_checks.conditions import Counting
from dq_checks.dialects import BLANKS, folded, trimmed
from dq_checks.dialects_mysql import exact
from dq_checks.expressions import RuleProblem, as_text, expression
from dq_checks.files import reading as reading_file
from dq_checks.messages import Against, Job
from dq_checks.worker.refusals import explain
from dq_checks.worker.session import JobProblem, reading

if TYPE_CHECKING:
    from dq_checks.worker.engine import AuditEngine

NAMED = ("row_key", "row_owner", "row_region", "row_source")
MOST = 5_000_000
"""Rows of a second source, at most: they are held in memory and sent to the CRM's database."""

Line = tuple[str, ...]
_NAMES = ("other_key", "other_value", "other_number")  # unlike any column of a CRM


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

    ``how.columns`` is the column, and for a comparison by key the column with the key.
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
        .subquery("rows")
    )
    lines = relation(engine, engine.references.lines(how.table, tuple(how.fields)))
    value = lines.c.other_number if number else _fold(lines.c.other_value, how)
    key = _fold(lines.c.other_key, how)
    theirs = _once([value, key][: len(ours)], "theirs")
    joined: sa.FromClause = rows
    if len(ours) == 2:
        keys = _once([key], "keys")
        joined = joined.join(keys, keys.c.their_0 == rows.c.our_1)
    same = [theirs.c[f"their_{at}"] == rows.c[f"our_{at}"] for at in range(len(ours))]
    joined = joined.outerjoin(theirs, sa.and_(*same))
    agrees = theirs.c.their_0.is_not(None).label("agrees")
    return sa.select(*(rows.c[each] for each in NAMED), agrees).select_from(joined)


def _once(values: Sequence[sa.ColumnElement[Any]], name: str) -> sa.Subquery:
    """Different lines of these values, none of them null."""
    labels = [each.label(f"their_{at}") for at, each in enumerate(values)]
    return (
        sa.select(*labels).where(*(each.is_not(None) for each in values)).distinct().subquery(name)
    )


def check(how: Counting, engine: AuditEngine) -> None:
    """Raises RuleProblem for columns that cannot be compared, Missing without a second source."""
    for each in how.columns:
        as_text(each, engine.table.kinds)
        kind = engine.table.kinds[each]
        if kind not in ("text", "number", "date"):
            raise RuleProblem(f"column {each} holds a {kind}; text, numbers and dates are compared")
    engine.references.lines(how.table, tuple(how.fields))


def _side(name: str, engine: AuditEngine, how: Counting) -> sa.ColumnElement[Any]:
    return _fold(trimmed(as_text(name, engine.table.kinds)), how)


def _fold(value: sa.ColumnElement[Any], how: Counting) -> sa.ColumnElement[Any]:
    return folded(value) if how.ignore_case else value


def relation(engine: AuditEngine, lines: list[Line]) -> Any:
    """The lines as a relation of the CRM's database; nothing is written there."""
    keys = [each[-1] for each in lines]
    values = [each[0] for each in lines]
    numbers = [_number(each) for each in values]
    dialect = engine.connection.dialect.name
    if dialect == "postgresql":
        return _arrays(keys, values, numbers)
    texts = [None if each is None else format(each, "f") for each in numbers]
    document = json.dumps(list(zip(keys, values, texts, strict=True)), ensure_ascii=False)
    query = sa.text(_UNFOLDED[dialect]).bindparams(document=document)
    columns: list[sa.ColumnClause[Any]] = [
        *(sa.column(each, sa.String()) for each in _NAMES[:2]), sa.column(_NAMES[2], sa.Numeric())
    ]  # fmt: skip
    folded_out = query.columns(*columns).subquery("lines")
    texts_of = [exact(folded_out.c[each]).label(each) for each in _NAMES[:2]]
    return sa.select(*texts_of, folded_out.c.other_number).subquery("other")


_JSON_TABLE = (
    "SELECT other_key, other_value, other_number FROM JSON_TABLE(:document, '$[*]' COLUMNS ("
    "other_key VARCHAR(500) PATH '$[0]', other_value VARCHAR(500) PATH '$[1]',"
    " other_number DECIMAL(38,10) PATH '$[2]')) AS unfolded"
)
_UNFOLDED = {
    "sqlite": "SELECT json_extract(value, '$[0]') AS other_key, json_extract(value, '$[1]') AS"
    " other_value, CAST(json_extract(value, '$[2]') AS NUMERIC) AS other_number"
    " FROM json_each(:document)",
    "mysql": _JSON_TABLE,
    "mariadb": _JSON_TABLE,
    "spark": "SELECT line[0] AS other_key, line[1] AS other_value, CAST(line[2] AS DECIMAL(38,10))"
    " AS other_number FROM (SELECT explode(from_json(:document, 'array<array<string>>')) AS line)",
}
"""How a JSON text of lines becomes a relation."""


def _arrays(keys: list[str], values: list[str], numbers: list[Decimal | None]) -> Any:
    def array(found: Sequence[Any], kind: Any) -> Any:
        return sa.cast(sa.literal(found, ARRAY(kind)), ARRAY(kind))

    return (
        sa.func.unnest(
            array(keys, sa.Text()), array(values, sa.Text()), array(numbers, sa.Numeric())
        )
        .table_valued(*_NAMES)
        .render_derived(name="other")
    )


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
