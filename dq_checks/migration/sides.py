"""The two sides of a comparison: something that answers SELECTs into the scratch database."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from crmops.config.types import against
from crmops.errors import CannotRun, CrmopsError
from dq_checks.migration.dialect import Dialect, DuckDB, Family, literal, quoted
from dq_checks.migration.loading import heading, sheet_to_csv, to_utf8
from dq_checks.migration.plan import SideSettings
from dq_checks.migration.scratch import Scratch

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LONGEST_LINE = 20_000_000
"""Bytes of one line of a CSV file, at most."""

PARQUET = b"PAR1"
ZIP = b"PK\x03\x04"


class Side(Protocol):
    """Source or target, opened.  ``relation`` is what stands behind FROM."""

    label: str
    dialect: Dialect
    relation: str
    columns: Mapping[str, Family]

    def into(self, table: str, select: str, columns: Mapping[str, str]) -> None:
        """Run a SELECT and keep what it answers as a table of the scratch database.

        ``columns`` are the columns of the table and DuckDB's types of them.  Raises CannotRun.
        """

    def cancel(self) -> None:
        """Stop what runs now; may be called from another thread."""

    def settle(self) -> None:
        """Raises CannotRun if the side changed while it was read."""


@dataclass(frozen=True)
class Place:
    """What it takes to open a side: scratch, base directory, targets' addresses, time limit."""

    scratch: Scratch
    directory: Path
    address_of: Callable[[str], str]
    timeout: float
    closing: ExitStack = field(repr=False)


def open_side(settings: SideSettings, label: str, batch: str, place: Place) -> Side:
    """The side that the settings describe.  Raises CannotRun, UsageError or ConfigError."""
    if settings.file is not None:
        named = Path(str(settings.file).replace("{batch}", batch))
        return FileSide(against(place.directory, named), settings.delimiter, label, place.scratch)
    if settings.crm:
        address = place.address_of(settings.crm)
    else:
        address = settings.database.reveal() if settings.database else ""
    asked = settings.query.rstrip("; \n")
    relation = settings.table if settings.table else f"({asked}) AS asked"
    if re.match(r"postgres(ql)?(\+\w+)?:", address):
        from dq_checks.migration.postgres import PostgresSide

        named_table = _table(settings.table) if settings.table else relation
        side = PostgresSide(address, named_table, label, place.scratch, place.timeout)
        place.closing.callback(side.close)
        return side
    from dq_checks.migration.streamed import stream_to_csv

    path = place.scratch.directory / f"{label}-streamed.csv"
    stream_to_csv(address, settings, label, path)
    return FileSide(path, ",", label, place.scratch)


def _table(name: str) -> str:
    """``schema.table`` as SQL; a name in quotes may hold anything."""
    parts = re.findall(r'"(?:[^"]|"")+"|[^.]+', name)
    return ".".join(each if each.startswith('"') else quoted(each) for each in parts)


class FileSide:
    """A file, read by DuckDB: Parquet with its types, CSV and XLSX as text."""

    def __init__(self, path: Path, delimiter: str, label: str, scratch: Scratch) -> None:
        self.label = label
        self.dialect: Dialect = DuckDB()
        self._path = path
        self._cursor: DuckDBPyConnection = scratch.database.cursor()
        self._stamp = self._now()
        self.relation = self._relation(delimiter, scratch.directory)
        self.columns: Mapping[str, Family] = {
            name: _family(kind) for name, kind in self._described(self.relation)
        }

    def into(self, table: str, select: str, columns: Mapping[str, str]) -> None:
        self._execute(f"CREATE OR REPLACE TABLE {table} AS {select}")

    def cancel(self) -> None:
        self._cursor.interrupt()

    def settle(self) -> None:
        if self._now() != self._stamp:
            raise CannotRun(
                f"{self.label}: {self._path.name} changed while it was read",
                hint="Run it again when nobody writes the file.",
            )

    def _now(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CannotRun(
                f"{self.label}: {self._path.name} cannot be read: {reason}",
                hint="Look at the path; it is relative to the plan.",
            ) from None
        return status.st_size, status.st_mtime_ns, status.st_ino

    def _relation(self, delimiter: str, directory: Path) -> str:
        try:
            with self._path.open("rb") as stream:
                head = stream.read(4)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CannotRun(f"{self.label}: {self._path.name} cannot be read: {reason}") from None
        if head == PARQUET:
            return f"read_parquet({literal(str(self._path))})"
        text = directory / f"{self.label}.csv"
        if head == ZIP:
            sheet_to_csv(self._path, self.label, text)
            path, delimiter = text, ","
        else:
            path = to_utf8(self._path, self.label, text)
        names = heading(path, self.label, delimiter, self._path.name)
        return csv_relation(path, dict.fromkeys(names, "VARCHAR"), delimiter)

    def _described(self, relation: str) -> list[tuple[str, str]]:
        self._execute(f"DESCRIBE SELECT * FROM {relation}")  # noqa: S608
        return [(row[0], row[1]) for row in self._cursor.fetchall()]

    def _execute(self, statement: str) -> None:
        import duckdb

        try:
            self._cursor.execute(statement)
        except duckdb.Error as error:
            raise duck_trouble(error, f"{self.label}: {self._path.name}") from None


def quicken(*sides: Side) -> None:
    """Let sides of one engine use its own hash: they are compared with one another only."""
    quick = [each.dialect.quick() for each in sides]
    if len({type(each) for each in quick}) == 1:
        for side, dialect in zip(sides, quick, strict=True):
            side.dialect = dialect or side.dialect


def csv_relation(
    path: Path, columns: Mapping[str, str], delimiter: str, *, head: bool = True
) -> str:
    """A CSV file whose columns have these types; unquoted nothing is null, "" is blank."""
    named = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    return (
        f"read_csv({literal(str(path))}, auto_detect = false, header = {str(head).lower()}, "
        f"columns = {{{named}}}, delim = {literal(delimiter)}, quote = '\"', escape = '\"', "
        "nullstr = '', allow_quoted_nulls = false, strict_mode = true, "
        f"max_line_size = {LONGEST_LINE})"
    )


def duck_trouble(error: Exception, where: str) -> CrmopsError:
    """What DuckDB said, without the contents of records that it likes to quote."""
    said = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", said)
    if line:
        unclosed = "quote" in said.lower() and "Expected Number of Columns" not in said
        reason = "a quotation mark is open" if unclosed else "the cells do not fit the head row"
        return CannotRun(
            f"{where}, line {line[1]}: {reason}",
            hint="Look for a delimiter or a line end that is not in quotation marks.",
        )
    kind = type(error).__name__
    if kind == "InterruptException":
        return CannotRun(f"{where}: stopped")
    if kind in ("OutOfMemoryException", "IOException") and re.search(
        r"space|could not write|memory", said, re.I
    ):
        return CannotRun(
            f"{where}: there is no room left", hint="Set TMPDIR to a directory with room."
        )
    return CannotRun(
        f"{where} cannot be read ({kind})", hint="Is the file whole, and of the kind its name says?"
    )


def _family(kind: str) -> Family:
    if "INT" in kind and "[" not in kind and "INTERVAL" not in kind:
        return "int"
    if kind.startswith("TIMESTAMP"):
        return "tstz" if "ZONE" in kind else "ts"
    exact: dict[str, Family] = {
        "FLOAT": "float", "DOUBLE": "float", "BOOLEAN": "bool", "DATE": "date",
    }  # fmt: skip
    return "num" if kind.startswith("DECIMAL(") and "[" not in kind else exact.get(kind, "text")
