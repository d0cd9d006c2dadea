"""A scratch database for a file, so that it is audited by the same suites before it is loaded."""

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

from crmops.errors import CannotRun, UsageError
from dq_checks.files import mapped, reading
from dq_checks.suite import Rule, Suite

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
    """Load a file into a database of its own, removed at the end.

    ``pairs`` say ``column=field`` where names differ.  A record's key is the column of the
    suite's key, else its data row, from 1.  Raises UsageError for a bad file or one that no rule
    fits, CannotRun when the disk does not take it.
    """
    folder = Path(tempfile.mkdtemp(prefix="crmops-dq-"))
    try:
        database = folder / "file.db"
        with reading(path) as records:
            names = mapped(records.columns, pairs, path)
            columns = [names.get(each, each) for each in records.columns]
            fitting = _fit(suite, columns, path)
            try:
                _load(database, fitting, columns, records.rows)
            except (sqlite3.Error, OSError) as error:
                raise CannotRun(
                    f"the scratch database cannot be written: {error}",
                    hint="Give the directory of temporary files space, or set TMPDIR.",
                ) from None
        left = {each.id for each in suite.rules} - {each.id for each in fitting.rules}
        yield Scratch(f"sqlite:///{database}", fitting, tuple(sorted(left)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fit(suite: Suite, columns: Sequence[str], path: Path) -> Suite:
    repeated = sorted({each for each in columns if columns.count(each) > 1})
    if repeated:
        raise UsageError(
            f"two columns of {path.name} are mapped to {repeated[0]!r}", hint="Map one of them."
        )
    rules = [each for each in suite.rules if _fits(each, {*columns})]
    if not rules:
        raise UsageError(
            f"{path.name} has no column that suite {suite.name!r} knows",
            hint="Say which is which: --map 'Site name=name'.",
        )
    only = [each for each in suite.only if each.column in columns]
    return suite.model_copy(update={"rules": tuple(rules), "only": tuple(only)})


def _fits(rule: Rule, columns: set[str]) -> bool:
    """A file has no other tables, and SQL is written for the CRM's own database."""
    return rule.check not in ("reference", "sql") and rule.read <= columns


def _read(suite: Suite) -> set[str]:
    """The columns that the audit needs; the others of a file stay where they are."""
    named = {suite.owner_column, suite.region_column, *(each.column for each in suite.only)}
    return {each for each in named if each}.union(*(each.read for each in suite.rules))


def _load(
    database: Path, suite: Suite, columns: Sequence[str], rows: Iterable[tuple[str, ...]]
) -> None:
    wanted = _read(suite)
    places = [at for at, each in enumerate(columns) if each in wanted and each != suite.key]
    key = columns.index(suite.key) if suite.key in columns else None
    names = [suite.key, *(columns[at] for at in places)]
    quoted = [_quoted(each) for each in names]
    marks = ", ".join("?" * len(names))
    table = _quoted(suite.table)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("pragma journal_mode = off")
        connection.execute("pragma synchronous = off")
        connection.execute(f"create table {table} ({', '.join(f'{q} text' for q in quoted)})")
        source = iter(
            (str(number) if key is None else row[key], *(row[at] for at in places))
            for number, row in enumerate(rows, 1)
        )
        while batch := list(islice(source, _BATCH)):
            # the names are quoted, and the values are bound
            connection.executemany(f"insert into {table} values ({marks})", batch)  # noqa: S608
        connection.commit()
        _give_types(connection, suite, names)


def _give_types(connection: sqlite3.Connection, suite: Suite, names: Sequence[str]) -> None:
    """Columns that rules compare as numbers, dates or times become such, if all values are."""
    asked = {each for rule in suite.rules if rule.check in _TYPED for each in rule.read}
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
    left = ["numeric", "date", "timestamp"]
    seen = False
    for (value,) in connection.execute(query):
        if not value.strip():
            continue
        seen = True
        left = [each for each in left if _as_value(value, each) is not None]
        if not left:
            return ""
    return left[0] if seen else ""


def _as_value(text: str, kind: str) -> str | int | float | None:
    """A text as SQLite keeps a value of a kind; None for what is none, or blank."""
    text = text.strip()
    try:
        if kind == "numeric":
            number = Decimal(text)
            return float(number) if number.is_finite() else None
        if kind == "date":
            return date.fromisoformat(text).isoformat()
        moment = datetime.fromisoformat(text)
    except (ValueError, InvalidOperation):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
