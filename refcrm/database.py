"""The connection pool, tuned for one query per request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import asyncpg

from refcrm.errors import ApiError, RefcrmError

_log = logging.getLogger("refcrm.database")

Record = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

spent: ContextVar[deque[float]] = ContextVar("spent", default=deque(maxlen=1))  # noqa: B039
"""Seconds of each statement of the current request, waiting for a connection included; work
outside a request throws its figures away."""

_SESSION = {
    "application_name": "refcrm",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "60s",
}


async def _leave(connection: Any) -> None:
    """No reset on release: nothing here changes session state, and a reset is a round trip."""


class Database:
    """Runs statements; turns PostgreSQL's ways of being unavailable into ApiError 503."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.pool = pool

    @classmethod
    async def open(cls, url: str, *, size: int) -> Database:
        """Connect; RefcrmError when the address is wrong or nobody answers there."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=size,
                max_size=size,
                command_timeout=60,
                timeout=10,
                max_inactive_connection_lifetime=0,
                server_settings=_SESSION,
                reset=_leave,
            )
        except (OSError, ValueError, TimeoutError, asyncpg.PostgresError) as error:
            raise unreachable(error) from error
        return cls(pool)

    async def close(self) -> None:
        """Close every connection; those still busy are cut after a few seconds."""
        try:
            await asyncio.wait_for(self.pool.close(), 5)
        except TimeoutError:
            self.pool.terminate()

    async def fetch(self, statement: str, arguments: Sequence[Any] = ()) -> list[Record]:
        """All rows of one statement."""
        begun = time.perf_counter()
        try:
            async with self.pool.acquire() as connection:
                return await connection.fetch(statement, *arguments)
        except UNAVAILABLE as error:
            raise unavailable(error) from error
        finally:
            spent.get().append(time.perf_counter() - begun)

    async def row(self, statement: str, arguments: Sequence[Any] = ()) -> Record | None:
        """The first row of one statement."""
        begun = time.perf_counter()
        try:
            async with self.pool.acquire() as connection:
                return await connection.fetchrow(statement, *arguments)
        except UNAVAILABLE as error:
            raise unavailable(error) from error
        finally:
            spent.get().append(time.perf_counter() - begun)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside one transaction."""
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                yield connection  # type: ignore[misc]
        except UNAVAILABLE as error:
            raise unavailable(error) from error


UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection cut in the middle of an answer raises
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)


def unavailable(error: BaseException) -> ApiError:
    """503 for a database that is gone, too slow or full; never its own words, they hold data."""
    if isinstance(error, asyncpg.InterfaceError) and "clos" not in str(error):
        # Not a closed connection or closing pool but a wrong use of one: a fault of ours.
        _log.error("a statement was used wrongly: %s", type(error).__name__)
        return ApiError(500, "internal", "the server failed")
    if isinstance(error, asyncpg.QueryCanceledError | TimeoutError):
        message = "the database took too long"
    elif isinstance(error, asyncpg.DiskFullError):
        message = "the database has no space left"
    else:
        message = "the database is not available"
    return ApiError(503, "unavailable", message, headers={"retry-after": "1"})


def unreachable(error: BaseException) -> RefcrmError:
    """The start-up error for a database that cannot be used."""
    words = str(error).strip() or type(error).__name__
    return RefcrmError(
        f"the database cannot be reached: {words.splitlines()[0]}",
        hint="Check the address, the user and that PostgreSQL is running.",
    )
