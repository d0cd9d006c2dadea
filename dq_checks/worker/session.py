"""One read-only transaction in which a whole suite sees one state of the table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from dq_checks.conditions import conditions
from dq_checks.dialects_mysql import NAMES
from dq_checks.expressions import Kind, RuleProblem, expression, kind_of
from dq_checks.suite import Suite
from dq_checks.worker import mysql
from dq_checks.worker.problems import JobProblem
from dq_checks.worker.refusals import explain, may_not, refused_login
from dq_checks.worker.spark.dialect import register
from dq_checks.worker.sqlite import prepare

__all__ = ["JobProblem", "Table", "driver_url", "inspect", "reading"]

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": mysql.DRIVER,
    "mariadb": mysql.DRIVER,
    "sqlite": "sqlite",
    "spark": "spark",
}
register()
_GRANT = "Grant SELECT on the table to the role of database.url."


@dataclass(frozen=True)
class Table:
    """A table as it is: its columns and what they hold."""

    source: sa.FromClause
    kinds: dict[str, Kind]


@contextmanager
def reading(url: str, statement_timeout: float, *, gentle: bool = False) -> Iterator[sa.Connection]:
    """A connection inside a read-only transaction on one snapshot; rolled back at the end.

    ``gentle``: no statement takes more than one core of the server.
    Raises JobProblem when the database does not let us in.
    """
    address = driver_url(url)
    engine = _engine(address, statement_timeout)
    try:
        connection = engine.connect()
    except (SQLAlchemyError, RuntimeError) as error:  # PyMySQL's word for a missing library
        engine.dispose()
        raise JobProblem(*refused_login(error)) from None
    try:
        _begin(connection, statement_timeout, gentle=gentle)
        yield connection
    finally:
        _end(connection)
        engine.dispose()


def _engine(address: sa.URL, statement_timeout: float) -> sa.Engine:
    arguments = _arguments(address, statement_timeout)
    try:
        engine = sa.create_engine(address, poolclass=sa.NullPool, connect_args=arguments)
    except ImportError as error:
        raise JobProblem(
            f"the driver of {address.get_backend_name()} databases is not installed: {error.name}",
            "The libraries of audits are an extra: pip install 'crmops[dq]'.",
        ) from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", prepare)
    return engine


def driver_url(url: str) -> sa.URL:
    """The address with the driver that we install.  Raises JobProblem if it is none."""
    try:
        address = sa.make_url(url)
    except SQLAlchemyError:
        raise JobProblem(
            "the database's address cannot be read", "Write postgresql://USER@HOST/NAME."
        ) from None
    backend = address.get_backend_name()
    if backend not in _DRIVERS:
        raise JobProblem(
            f"audits do not read {backend} databases",
            "They read postgresql, mysql, mariadb and sqlite.",
        )
    return address.set(drivername=_DRIVERS[backend])


def inspect(connection: sa.Connection, suite: Suite) -> Table:
    """The suite's table.  Raises JobProblem naming a table that is missing or may not be read."""
    name = f"{suite.table_schema}.{suite.table}" if suite.table_schema else suite.table
    try:
        columns = sa.inspect(connection).get_columns(suite.table, schema=suite.table_schema)
    except NoSuchTableError:
        raise JobProblem(
            f"table {name} is missing",
            "Is it another database, or was the table renamed?  A suite names its table.",
        ) from None
    except SQLAlchemyError as error:
        hint = _GRANT if may_not(error) else ""
        raise JobProblem(f"table {name} cannot be read: {explain(error)}", hint) from None
    kinds = {each["name"]: mysql.kind_of(each["type"]) or kind_of(each["type"]) for each in columns}
    if suite.key not in kinds:
        raise JobProblem(f"table {name} has no column {suite.key}, the suite's key")
    source = _rows_of(suite, kinds, connection.dialect.name)
    try:
        with connection.begin_nested():
            connection.execute(sa.select(sa.literal(1)).select_from(source).limit(1))
    except SQLAlchemyError as error:
        raise JobProblem(
            f"table {name} cannot be read: {explain(error)}",
            _GRANT,
        ) from None
    return Table(source, kinds)


def _rows_of(suite: Suite, kinds: dict[str, Kind], dialect: str) -> sa.FromClause:
    table: sa.FromClause = sa.table(suite.table, *map(sa.column, kinds), schema=suite.table_schema)
    if dialect in NAMES:
        columns = [mysql.read(table.c[name], kind).label(name) for name, kind in kinds.items()]
        table = sa.select(*columns).select_from(table).subquery("exactly")
    if not suite.only:
        return table
    try:
        wanted = expression(conditions(suite.only), kinds)
    except RuleProblem as problem:
        raise JobProblem(
            f"the rows of table {suite.table} cannot be chosen: {problem}",
            "Mend `only:` in the suite.",
        ) from None
    return sa.select(*table.c).where(wanted).subquery("wanted")


def _arguments(address: sa.URL, statement_timeout: float) -> dict[str, object]:
    backend = address.get_backend_name()
    if backend == "postgresql":
        return {"connect_timeout": 10, "application_name": "crmops dq"}
    if backend == "spark":
        return {"statement_timeout": statement_timeout}
    return mysql.arguments(address, statement_timeout) if backend in NAMES else {}


def _begin(connection: sa.Connection, statement_timeout: float, *, gentle: bool) -> None:
    if connection.dialect.name in NAMES:
        mysql.begin(connection, statement_timeout)
        return
    if connection.dialect.name != "postgresql":
        connection.begin()
        if connection.dialect.name == "sqlite":  # its driver begins nothing for a SELECT
            connection.exec_driver_sql("begin")
        return
    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    connection.begin()
    milliseconds = max(int(statement_timeout * 1000), 1)
    settings = {
        "statement_timeout": str(milliseconds),
        "lock_timeout": str(min(milliseconds, 5000)),
        "idle_in_transaction_session_timeout": "600000",
        "timezone": "UTC",
    }
    if (connection.dialect.server_version_info or ()) >= (14,):
        # a worker that is killed leaves no query behind on the CRM's server
        settings["client_connection_check_interval"] = "2000"
    if gentle:
        settings |= {"max_parallel_workers_per_gather": "0", "work_mem": "16MB", "jit": "off"}
    wanted = [sa.func.set_config(name, value, True) for name, value in settings.items()]
    connection.execute(sa.select(*wanted))


def _end(connection: sa.Connection) -> None:
    try:
        connection.rollback()
        connection.close()
    except SQLAlchemyError:  # it is gone already, and there is nothing to keep
        connection.invalidate()
