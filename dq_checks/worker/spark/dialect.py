"""A SQLAlchemy dialect for Spark SQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import default
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.sql import compiler

import dq_checks.dialects_spark
from dq_checks.worker.spark import driver

_TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "string": sa.String, "boolean": sa.Boolean, "date": sa.Date,
    "timestamp": sa.DateTime, "timestamp_ntz": sa.DateTime, "float": sa.Float,
    "double": sa.Float, "tinyint": sa.Integer, "smallint": sa.Integer, "int": sa.Integer,
    "bigint": sa.Integer,
}  # fmt: skip


class _Names(compiler.IdentifierPreparer):
    def __init__(self, dialect: Any, **_others: Any) -> None:
        super().__init__(dialect, initial_quote="`", final_quote="`", escape_quote="`")

    def _requires_quotes(self, value: str) -> bool:
        return True  # Spark has other reserved words than SQLAlchemy knows


class _Types(compiler.GenericTypeCompiler):
    def visit_string(self, type_: Any, **kw: Any) -> str:
        return "STRING"

    def visit_VARCHAR(self, type_: Any, **kw: Any) -> str:
        return "STRING"


class SparkDialect(default.DefaultDialect):
    """Reads the temporary views of a session.  Savepoints cost nothing, for there are none."""

    name = dq_checks.dialects_spark.NAME
    driver = "pyspark"
    default_paramstyle = "qmark"
    preparer: type[compiler.IdentifierPreparer] = _Names
    type_compiler_cls = _Types
    supports_statement_cache = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_sane_rowcount = False
    insert_returning = False

    @classmethod
    def import_dbapi(cls) -> Any:
        return driver

    def create_connect_args(self, url: sa.URL) -> Any:
        return [url.database], {}

    def initialize(self, connection: sa.Connection) -> None:
        self.server_version_info = tuple(
            int(each) for each in self._session(connection).version.split(".") if each.isdigit()
        )

    def get_columns(
        self, connection: sa.Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        session = self._session(connection)
        if not session.catalog.tableExists(table_name):
            raise NoSuchTableError(table_name)
        return [
            {"name": name, "type": _type(kind), "nullable": True, "default": None}
            for name, kind in session.table(f"`{table_name}`").dtypes
        ]

    def get_pk_constraint(
        self, connection: sa.Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        return {"constrained_columns": [], "name": None}

    def do_begin(self, dbapi_connection: Any) -> None:
        pass

    def do_savepoint(self, connection: sa.Connection, name: str) -> None:
        pass

    def do_rollback_to_savepoint(self, connection: sa.Connection, name: str) -> None:
        pass

    def do_release_savepoint(self, connection: sa.Connection, name: str) -> None:
        pass

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        return getattr(e, "sqlstate", "") == driver.GONE

    @staticmethod
    def _session(connection: sa.Connection) -> Any:
        return connection.connection.dbapi_connection.session  # type: ignore[union-attr]


def _type(kind: str) -> sa.types.TypeEngine[Any]:
    if kind.startswith("decimal"):
        return sa.Numeric()
    return _TYPES.get(kind, sa.types.NullType)()


def register() -> None:
    """Make ``spark://`` addresses known to SQLAlchemy."""
    sa.dialects.registry.register("spark", __name__, SparkDialect.__name__)
