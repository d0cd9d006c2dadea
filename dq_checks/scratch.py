"""A scratch database for a file or a snapshot, so that it is audited by the same suites."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path

from crmops.errors import CannotRun
from dq_checks.files import mapped, reading
from dq_checks.snapshot import beside, columns_in, fit, read_of, tables_in
from dq_checks.suite import Suite

_BATCH = 5_000
_TYPED = {"range", "compare", "fresh"}


@dataclass(frozen=True)
class Scratch:
    """The file as a database, the suite as far as it fits it, and the rules that do not."""

    url: str
    suite: Suite
    left_out: tuple[str, ...]


@contextmanager
def scratch(path: Path, suite: Suite, pairs: Sequence[str]) -> Iterator[Scratch]:
    """Load a file, or a snapshot's tables, into a database of its own, removed at the end.

    ``pairs`` say ``column=field`` where names differ.  A record's key is the column of the
    suite's key, else its data row, from 1.  Raises UsageError for a bad file or one that no rule
    fits, CannotRun when the disk does not take it.
    """
    folder = Path(tempfile.mkdtemp(prefix="crmops-dq-"))
    try:
        database = folder / "file.db"
        tables = tables_in(path, suite)
        heads = {name: columns_in(each) for name, each in tables.items() if name != suite.table}
        with reading(tables[suite.table]) as records:
            names = mapped(records.columns, pairs, path)
            columns = [names.get(each, each) for each in records.columns]
            fitting = fit(suite, {**heads, suite.table: columns}, path)
            try:
                _load(database, fitting, columns, records.rows)
                for name, wanted in beside(fitting).items():
                    _load_beside(database, name, wanted, tables[name])
            except (sqlite3.Error, OSError) as error:
                raise CannotRun(
                    f"the scratch database cannot be written: {error}",
                    hint="Give the directory of temporary files space, or set TMPDIR.",
                ) from None
        left = {each.id for each in suite.rules} - {each.id for each in fitting.rules}
        yield Scratch(f"sqlite:///{database}", fitting, tuple(sorted(left)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load(
    database: Path, suite: Suite, columns: Sequence[str], rows: Iterable[tuple[str, ...]]
) -> None:
    wanted = read_of(suite)
    places = [at for at, each in enumerate(columns) if each in wanted and each != suite.key]
    key = columns.index(suite.key) if suite.key in columns else None
    names = [suite.key, *(columns[at] for at in places)]
    with _writing(database) as connection:
        source = iter(
            (str(number) if key is None else row[key], *(row[at] for at in places))
            for number, row in enumerate(rows, 1)
        )
        _fill(connection, suite.table, names, source)
        _give_types(connection, suite, names)


def _load_beside(database: Path, table: str, wanted: set[str], path: Path) -> None:
    """Another table of a snapshot, as far as rules look into it."""
    with _writing(database) as connection, reading(path) as records:
        names = [each for each in records.columns if each in wanted]
        places = [records.columns.index(each) for each in names]
        source = (tuple(row[at] for at in places) for row in records.rows)
        _fill(connection, table, [*names, *sorted(wanted - {*names})], source)


@contextmanager
def _writing(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("pragma journal_mode = off")
        connection.execute("pragma synchronous = off")
        yield connection


def _fill(
    connection: sqlite3.Connection,
    table: str,
    names: Sequence[str],
    rows: Iterator[tuple[str, ...]],
) -> None:
    """Make a table of texts; names without values stay empty."""
    quoted = [_quoted(each) for each in names]
    columns = ", ".join(f"{each} text" for each in quoted)
    connection.execute(f"create table {_quoted(table)} ({columns})")
    while batch := list(islice(rows, _BATCH)):
        width = len(batch[0])
        marks = ", ".join("?" * width)
        into = f"{_quoted(table)} ({', '.join(quoted[:width])})"
        # the names are quoted, and the values are bound
        connection.executemany(f"insert into {into} values ({marks})", batch)  # noqa: S608
    connection.commit()


def compared(suite: Suite) -> set[str]:
    """The columns whose texts rules compare as numbers, dates or times."""
    return {each for rule in suite.rules if rule.check in _TYPED for each in rule.read}


def _give_types(connection: sqlite3.Connection, suite: Suite, names: Sequence[str]) -> None:
    """Columns that rules compare as numbers, dates or times become such, if all values are."""
    asked = compared(suite)
    types = {name: _type_of(connection, suite.table, name) for name in names if name in asked}
    if not any(types.values()):
        return
    table, old = _quoted(suite.table), _quoted(f"{suite.table} as text")
    connection.execute(f"alter table {table} rename to {old}")
    described = (f"{_quoted(name)} {types.get(name) or 'text'}" for name in names)
    connection.execute(f"create table {table} ({', '.join(described)})")
    connection.create_function("as_value", 2, _as_value, deterministic=True)
    values = (
        f"as_value({_quoted(name)}, '{types[name]}')" if types.get(name) else _quoted(name)
        for name in names
    )
    connection.execute(f"insert into {table} select {', '.join(values)} from {old}")  # noqa: S608
    connection.execute(f"drop table {old}")
    connection.commit()


def _type_of(connection: sqlite3.Connection, table: str, name: str) -> str:
    """The narrowest type that every value has; empty for text."""
    query = f"select distinct {_quoted(name)} from {_quoted(table)}"  # noqa: S608
    guess = Guess()
    for (value,) in connection.execute(query):
        guess.see(value)
        if not guess.left:
            break
    return guess.kind


class Guess:
    """Which type the values of a column have, as far as they were seen."""

    def __init__(self) -> None:
        self.left = ["numeric", "date", "timestamp"]
        self._seen = False

    @property
    def kind(self) -> str:
        """The narrowest that all values have; empty for text, and when all are blank."""
        return self.left[0] if self._seen and self.left else ""

    def see(self, value: str) -> None:
        """Take a value into account; blank ones are of every type."""
        if value.strip():
            self._seen = True
            self.left = [each for each in self.left if parsed(value, each) is not None]


def _as_value(text: str, kind: str) -> str | float | None:
    """A text as SQLite keeps a value of a kind; None for what is none, or blank."""
    value = parsed(text, kind)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    return value.isoformat() if isinstance(value, date) else value


def parsed(text: str, kind: str) -> float | date | datetime | None:
    """A text as a value of a kind: numeric, date or timestamp (in UTC); None for what is none."""
    text = text.strip()
    try:
        if kind == "numeric":
            number = Decimal(text)
            return float(number) if number.is_finite() else None
        if kind == "date":
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (ValueError, InvalidOperation, OverflowError):
        return None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
