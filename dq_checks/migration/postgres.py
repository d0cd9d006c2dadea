"""A side in PostgreSQL: digests are made there, only what differs is carried over.

One read-only snapshot for the whole comparison, so that the ranges and the rows are of one state.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from crmops.errors import CannotRun, CrmopsError, TargetUnreachable
from dq_checks.migration.dialect import Dialect, Family, PostgreSQL
from dq_checks.migration.scratch import Scratch

if TYPE_CHECKING:
    import psycopg

_FAMILIES: dict[int, Family] = {
    16: "bool", 20: "int", 21: "int", 23: "int", 26: "int", 700: "float", 701: "float",
    1082: "date", 1114: "ts", 1184: "tstz", 1700: "num",
}  # fmt: skip
"""By the numbers of PostgreSQL's own types (pg_type.dat)."""

_SESSION = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = 'postgres'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1",
    "SET standard_conforming_strings = on",
    "SET client_encoding = 'UTF8'",
    "SET default_transaction_read_only = on",
    "SET max_parallel_workers_per_gather = 2",
    "SET jit = off",
)
_FILES = itertools.count(1)


class PostgresSide:
    """A table or query of a PostgreSQL database."""

    def __init__(
        self, address: str, relation: str, label: str, scratch: Scratch, timeout: float
    ) -> None:
        import psycopg

        self.label = label
        self.relation = relation
        self._scratch = scratch
        try:
            self._connection = psycopg.connect(
                address.replace("postgresql+psycopg:", "postgresql:", 1),
                autocommit=True,
                connect_timeout=10,
                application_name="crmops migration",
            )
        except (psycopg.Error, UnicodeError) as error:
            raise TargetUnreachable(
                f"{label}: the database does not answer",
                hint="Look at its address, its account and whether it runs.",
            ) from error
        try:
            self.dialect: Dialect = self._begin(timeout)
            self.columns: Mapping[str, Family] = self._described()
        except BaseException:
            self.close()
            raise

    def _begin(self, timeout: float) -> PostgreSQL:
        import psycopg

        try:
            for each in (*_SESSION, f"SET statement_timeout = {int(timeout * 1000)}"):
                self._connection.execute(each)
            if self._connection.info.server_version >= 140000:
                # a server that still computes for a client that was killed is load for nothing
                self._connection.execute("SET client_connection_check_interval = '5s'")
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        except psycopg.Error as error:
            raise trouble(error, self.label) from None
        encoding = self._connection.info.parameter_status("server_encoding") or "UTF8"
        return PostgreSQL(self._connection.info.server_version, encoding)

    def _described(self) -> dict[str, Family]:
        import psycopg

        try:
            answer = self._connection.execute(f"SELECT * FROM {self.relation} LIMIT 0")  # noqa: S608
        except psycopg.Error as error:
            raise trouble(error, self.label) from None
        if answer.description is None:
            raise CannotRun(f"{self.label}: the query answers nothing", hint="Write one SELECT.")
        return {each.name: _FAMILIES.get(each.type_code, "text") for each in answer.description}

    def into(self, table: str, select: str, columns: Mapping[str, str]) -> None:
        import duckdb
        import psycopg

        from dq_checks.migration.sides import csv_relation, duck_trouble

        path = self._scratch.directory / f"{self.label}-{next(_FILES)}.csv"
        try:
            self._copy(select, path)
            relation = csv_relation(path, columns, ",", head=False)
            self._scratch.database.cursor().execute(
                f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {relation}"  # noqa: S608
            )
        except psycopg.Error as error:
            raise trouble(error, self.label) from None
        except duckdb.Error as error:
            raise duck_trouble(error, self.label) from None
        except OSError as error:
            raise CannotRun(
                f"{self.label}: there is no room left for scratch files",
                hint="Set TMPDIR to a directory with room.",
            ) from error
        finally:
            path.unlink(missing_ok=True)

    def _copy(self, select: str, path: Path) -> None:
        with (
            self._connection.cursor() as cursor,
            path.open("wb") as out,
            cursor.copy(f"COPY ({select}) TO STDOUT (FORMAT csv)".encode()) as copy,
        ):
            for chunk in copy:
                out.write(chunk)

    def cancel(self) -> None:
        self._connection.cancel_safe(timeout=5)

    def settle(self) -> None:
        """Nothing: it was one snapshot."""

    def close(self) -> None:
        """Ends the snapshot and the connection."""
        self._connection.close()


def trouble(error: psycopg.Error, label: str) -> CrmopsError:
    """What PostgreSQL said, without the contents of records that its messages quote."""
    import psycopg

    state = error.sqlstate or ""
    said = (error.diag.message_primary or "").strip()
    if isinstance(error, psycopg.errors.QueryCanceled):
        return CannotRun(
            f"{label}: a query took longer than statement_timeout",
            hint="Raise statement_timeout in the plan, or read a replica.",
        )
    if state[:2] in ("08", "57") or (isinstance(error, psycopg.OperationalError) and not state):
        return TargetUnreachable(
            f"{label}: the connection to the database was lost",
            hint="Nothing was recorded but this; run it again when the database is back.",
        )
    if state in ("42P01", "42703", "42501", "3F000", "25006"):
        return CannotRun(f"{label}: {said}", hint="Look at table, query and the account's rights.")
    if state.startswith("42"):
        return CannotRun(f"{label}: {said}", hint="Look at the table or query of the plan.")
    return CannotRun(
        f"{label}: PostgreSQL could not answer ({state or type(error).__name__})",
        hint="The database's own log says more.",
    )
