"""Spark SQL as a DB-API driver (PEP 249), as far as audits need it: statements that read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

apilevel = "2.0"
threadsafety = 0
paramstyle = "qmark"

_AGAIN_SECONDS = 0.2
TIMED_OUT = "57014"
GONE = "08006"


class Error(Exception):
    """What went wrong; ``sqlstate`` is the five characters that SQL has for it."""

    def __init__(self, message: str = "", sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class InterfaceError(Error):
    """The driver was used wrongly."""


class DatabaseError(Error):
    """Spark refused a statement."""


class DataError(DatabaseError):
    """A value cannot be read as what it should be."""


class OperationalError(DatabaseError):
    """Spark could not work."""


class IntegrityError(DatabaseError):
    """Never raised: nothing is written."""


class InternalError(DatabaseError):
    """Spark has a mistake."""


class ProgrammingError(DatabaseError):
    """A statement is wrong."""


class NotSupportedError(DatabaseError):
    """Spark cannot do that."""


def connect(lake: str, statement_timeout: float = 0.0) -> Connection:
    """Connect to the tables that the file ``lake`` describes; see :mod:`dq_checks.lake`."""
    from dq_checks.worker.spark.session import session_of

    return Connection(session_of(lake), statement_timeout)


class Connection:
    """A session of Spark.  There is nothing to commit."""

    def __init__(self, session: Any, statement_timeout: float) -> None:
        self.session = session
        self.statement_timeout = statement_timeout

    def cursor(self) -> Cursor:
        """A cursor for one statement after the other."""
        return Cursor(self)

    def commit(self) -> None:
        """Nothing was written."""

    def rollback(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        """The session stays for the next connection."""


class Cursor:
    """Runs statements and gives their rows."""

    arraysize = 500
    rowcount = -1
    lastrowid = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self.description: list[tuple[Any, ...]] | None = None

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement to its end; audits ask for few rows, so they are fetched at once."""
        late, done = threading.Event(), threading.Event()
        watch = threading.Thread(target=self._watch, args=[late, done], daemon=True)
        watch.start()
        try:
            frame = self._connection.session.sql(statement, args=list(parameters) or None)
            rows = frame.collect()
        except Exception as error:
            raise DatabaseError("Spark could not run it", _state(error, late)) from None
        finally:
            done.set()
            watch.join()  # so that it cannot end the next statement
        self.description = [(name, None, None, None, None, None, None) for name in frame.columns]
        self._rows = (tuple(each) for each in rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, None when there is none left."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows."""
        found = (next(self._rows, None) for _ in range(size or self.arraysize))
        return [each for each in found if each is not None]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return list(self._rows)

    def close(self) -> None:
        """Forget the rows."""
        self._rows = iter(())

    def _watch(self, late: threading.Event, done: threading.Event) -> None:
        """End what takes too long; again and again, for a job may begin after the first time."""
        if done.wait(self._connection.statement_timeout or None):
            return
        late.set()
        while not done.wait(_AGAIN_SECONDS):
            self._connection.session.sparkContext.cancelAllJobs()


def _state(error: Exception, late: threading.Event) -> str:
    if late.is_set():
        return TIMED_OUT
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    if isinstance(error, PySparkException):
        return error.getSqlState() or ""
    if isinstance(error, Py4JNetworkError | ConnectionError):
        return GONE
    return "" if isinstance(error, Py4JError) else GONE
