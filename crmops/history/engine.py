"""Opening the history's database: SQLite with write-ahead log, or PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from crmops.errors import ConfigError, HistoryError
from crmops.history.tables import Migration, meta

_VERSION = "schema_version"


def make_engine(url: str) -> sa.Engine:
    """An engine for a history address.  Raises ConfigError for one that is not understood."""
    if url.startswith("postgresql://"):
        url = "postgresql+psycopg://" + url.removeprefix("postgresql://")
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            "the history's address is not understood",
            hint="Use sqlite:///path or postgresql://user@host/database.",
        ) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(
            f"the history cannot live in {parsed.get_backend_name()}",
            hint="Use sqlite:///path or postgresql://user@host/database.",
        )
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(parsed, pool_pre_ping=True)
    return _sqlite(parsed)


def _sqlite(url: sa.URL) -> sa.Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=30000")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def bring_up(engine: sa.Engine, migrations: tuple[Migration, ...]) -> None:
    """Create or migrate the tables, once, whoever else tries at the same time."""
    with engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7261986)")
        meta.create(connection, checkfirst=True)
        found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == _VERSION))
        version = int(found or 0)
        if version > len(migrations):
            raise HistoryError(
                f"the history has schema {version}, this crmops knows up to {len(migrations)}",
                hint="Upgrade crmops, or point history.url at another database.",
            )
        for step in migrations[version:]:
            step(connection)
        if found is None:
            connection.execute(sa.insert(meta).values(key=_VERSION, value=str(len(migrations))))
        elif version < len(migrations):
            connection.execute(
                sa.update(meta).where(meta.c.key == _VERSION).values(value=str(len(migrations)))
            )
