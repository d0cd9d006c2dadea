"""A read-only transaction on one snapshot of MariaDB or MySQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import SQLAlchemyError

from dq_checks.conditions import Counting
from dq_checks.dialects_mysql import collation, exact
from dq_checks.expressions import Kind, RuleProblem
from dq_checks.expressions import kind_of as plain_kind

DRIVER = "mysql+pymysql"
CONNECT_SECONDS = 10
_LOCK_SECONDS = 5
_IDLE_SECONDS = 600


def arguments(address: sa.URL, statement_timeout: float) -> dict[str, object]:
    """What the driver is told when it connects."""
    return {
        # of a text it would take the letters for latin1
        "password": str(address.password or "").encode(),
        "connect_timeout": CONNECT_SECONDS,
        # a server that is gone without a word is noticed; its own limit comes first
        "read_timeout": int(statement_timeout) + 30,
        "charset": "utf8mb4",
        "program_name": "crmops dq",
        "local_infile": False,
    }


def begin(connection: sa.Connection, statement_timeout: float) -> None:
    """Begin the transaction, with limits of time, in UTC."""
    connection.execution_options(isolation_level="REPEATABLE READ")
    connection.begin()
    mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
    if mariadb:
        limit = f"max_statement_time = {max(statement_timeout, 0.001):.3f}"
    else:
        limit = f"max_execution_time = {max(int(statement_timeout * 1000), 1)}"
    lock = max(1, min(int(statement_timeout), _LOCK_SECONDS))
    for each in (
        f"SET NAMES utf8mb4 COLLATE {collation(connection.dialect)}",
        f"SET SESSION {limit}, time_zone = '+00:00', lock_wait_timeout = {lock},"
        f" innodb_lock_wait_timeout = {lock}, wait_timeout = {_IDLE_SECONDS}",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ):
        connection.exec_driver_sql(each)


def kind_of(column_type: sa.types.TypeEngine[Any]) -> Kind | None:
    """The kind of a type that is more than it looks; None for all others."""
    if isinstance(column_type, mysql.TINYINT) and column_type.display_width == 1:
        return "boolean"  # there is no other; BOOLEAN is written TINYINT(1)
    return None


def comparable(
    connection: sa.Connection, how: Counting, kinds: Mapping[str, Kind], schema: str | None
) -> None:
    """Raises RuleProblem for a reference between types that the server would compare as numbers:
    every text without digits is then 0."""
    try:
        columns = sa.inspect(connection).get_columns(how.table, schema=schema)
    except SQLAlchemyError:
        return  # the query itself will say what is wrong
    theirs = {each["name"]: kind_of(each["type"]) or plain_kind(each["type"]) for each in columns}
    one, two = kinds[how.columns[0]], theirs.get(how.key, "other")
    if one != two and "text" in (one, two):
        raise RuleProblem(f"column {how.columns[0]} holds a {one}, {how.table}.{how.key} a {two}")


def read(column: sa.ColumnElement[Any], kind: Kind) -> sa.ColumnElement[Any]:
    """A column as an audit sees it."""
    return exact(column) if kind == "text" else column
