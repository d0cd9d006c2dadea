"""Databases other than PostgreSQL: their rows are streamed into the scratch place as text."""

from __future__ import annotations

from pathlib import Path

from crmops.errors import CannotRun
from dq_checks.migration.loading import write_rows
from dq_checks.migration.plan import SideSettings

_ROWS = 10_000


def stream_to_csv(address: str, settings: SideSettings, label: str, path: Path) -> None:
    """Everything that the side asks for, as CSV.  Raises CannotRun without naming contents."""
    import sqlalchemy as sa

    try:
        engine = sa.create_engine(address)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError, ValueError) as error:
        raise CannotRun(
            f"{label}: there is no driver for this kind of database",
            hint="PostgreSQL and SQLite are built in; others need their SQLAlchemy driver.",
        ) from error
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file():
        raise CannotRun(f"{label}: there is no such database file", hint="Look at the address.")
    try:
        with engine.connect() as connection:
            asked = settings.query or f"SELECT * FROM {_named(engine, settings.table)}"  # noqa: S608
            streaming = connection.execution_options(stream_results=True, yield_per=_ROWS)
            answer = streaming.execute(sa.text(asked.rstrip("; \n").replace(":", r"\:")))
            with path.open("w", encoding="utf-8", newline="") as out:
                write_rows(out, [list(answer.keys())])
                write_rows(out, answer)
    except sa.exc.SQLAlchemyError as error:
        raise CannotRun(
            f"{label}: the database refused to be read ({type(error).__name__})",
            hint="Are table and columns there, and may the account read them?",
        ) from None
    finally:
        engine.dispose()


def _named(engine: object, table: str) -> str:
    from sqlalchemy import Engine

    assert isinstance(engine, Engine)  # noqa: S101 - for the reader of types
    quote = engine.dialect.identifier_preparer.quote
    return ".".join(quote(each) for each in table.split("."))
