"""A table in slices of its key: statements stay short, and what did not change is left alone.

A slice is a range of whole numbers of an indexed key.  Its seal is a number that another one
takes the place of whenever a row in it is inserted, deleted or changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from dq_checks.dialects import hashed
from dq_checks.expressions import as_text

if TYPE_CHECKING:
    from dq_checks.worker.engine import AuditEngine

MOST = 4_000
"""So many slices at most: those of a key with wide gaps are wider."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows whose key is at least ``low`` and below ``high``; or all of them."""

    low: int | None = None
    high: int | None = None

    @property
    def name(self) -> str:
        """What the slice is called in a ledger."""
        return f"{self.low}:{self.high}"

    def where(self, key: str) -> sa.ColumnElement[bool]:
        """The condition on a row."""
        if self.low is None or self.high is None:
            return sa.true()
        return sa.and_(sa.column(key) >= self.low, sa.column(key) < self.high)


WHOLE = Slice()


def slices(engine: AuditEngine, width: int) -> list[Slice]:
    """The slices of the table, each ``width`` keys or that times a power of two wide.

    One slice of everything when the key is no indexed number without nulls.
    """
    key = engine.suite.key
    if engine.table.kinds[key] != "number" or not _indexed(engine):
        return [WHOLE]
    column: sa.ColumnElement[Any] = sa.column(key)
    query = sa.select(sa.func.min(column), sa.func.max(column)).select_from(base(engine))
    low, high = engine.execute_query(query).one()
    if low is None:
        return []
    if not all(isinstance(each, int | Decimal) for each in (low, high)):
        return [WHOLE]
    return list(_between(int(low // 1), int(high // 1), width))


def _between(low: int, high: int, width: int) -> Iterable[Slice]:
    while (high // width) - (low // width) >= MOST:
        width *= 2
    for number in range(low // width, high // width + 1):
        yield Slice(number * width, (number + 1) * width)


def _indexed(engine: AuditEngine) -> bool:
    """Whether the suite's key is the table's primary key: quick to reach, and never null."""
    suite = engine.suite
    try:
        found = sa.inspect(engine.connection).get_pk_constraint(
            suite.table, schema=suite.table_schema
        )
    except (SQLAlchemyError, RuntimeError):  # a dialect that cannot tell says so by one
        return False
    return [*found["constrained_columns"]] == [suite.key]


def base(engine: AuditEngine) -> sa.TableClause:
    """The table itself, also when the suite is about some of its rows only."""
    suite = engine.suite
    return sa.table(suite.table, schema=suite.table_schema)


class Source:
    """Who says what changed in a table: PostgreSQL itself, or columns that the suite names."""

    def __init__(
        self, identity: str, marks: Sequence[sa.ColumnElement[Any]], engine: AuditEngine
    ) -> None:
        self.identity = identity
        self._marks = marks
        self._engine = engine
        self._seals: dict[Slice, str] = {}

    def seal(self, part: Slice) -> str:
        """The seal of a slice in this snapshot."""
        if part not in self._seals:
            engine = self._engine
            query = (
                sa.select(sa.func.count(), *self._marks)
                .select_from(base(engine))
                .where(part.where(engine.suite.key))
            )
            self._seals[part] = "/".join(map(str, engine.execute_query(query).one()))
        return self._seals[part]


def source(engine: AuditEngine) -> Source | None:
    """Who says what changed; None when nobody can."""
    if engine.connection.dialect.name == "postgresql":
        found = _by_row_versions(engine)
        if found is not None:
            return found
    named = engine.suite.changed_by
    return _by_columns(engine, named) if named and {*named} <= {*engine.table.kinds} else None


def _by_columns(engine: AuditEngine, named: tuple[str, ...]) -> Source:
    kinds = engine.table.kinds
    text: sa.ColumnElement[Any] = sa.func.coalesce(as_text(engine.suite.key, kinds), "")
    for each in named:
        text = text + sa.literal("/") + sa.func.coalesce(as_text(each, kinds), "-")
    marks = [sa.func.sum(hashed(text))]
    url = engine.connection.engine.url
    where = [url.get_backend_name(), url.host, url.port, url.database, sorted(url.query.items())]
    return Source(_digest([where, sorted(kinds.items()), named]), marks, engine)


def _by_row_versions(engine: AuditEngine) -> Source | None:
    """Every change of a row gives it another xmin, also one that leaves updated_at as it was."""
    suite = engine.suite
    name = ".".join(f'"{each}"' for each in (suite.table_schema, suite.table) if each)
    try:
        found = engine.execute_query(_IDENTITY.bindparams(name=name)).one()
    except SQLAlchemyError:
        engine.errors.clear()
        return None
    if not found.plain:
        return None
    key = f'"{suite.key}"'
    mark: sa.ColumnElement[Any] = sa.literal_column(
        f"sum(hashtextextended({key}::text || '/' || xmin::text, 0)::numeric)"
    )
    return Source(_digest(list(map(str, found))), [mark], engine)


_IDENTITY = sa.text(
    "SELECT current_setting('server_version_num')::int >= 120000"
    " AND c.relkind IN ('r', 'm') AND NOT EXISTS (SELECT FROM pg_attribute g"
    " WHERE g.attrelid = c.oid AND g.attgenerated = 'v') AS plain,"
    " (SELECT system_identifier FROM pg_control_system()) AS cluster,"
    " (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,"
    " (SELECT oid FROM pg_database WHERE datname = current_database()) AS database, c.oid,"
    " (SELECT string_agg(a.attnum || a.attname || a.atttypid || a.atttypmod, ',' ORDER BY"
    " a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0"
    " AND NOT a.attisdropped) AS columns"
    " FROM pg_class c WHERE c.oid = CAST(:name AS regclass)"
)
"""Another cluster, a restored copy, another table or altered columns are another source."""


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()
