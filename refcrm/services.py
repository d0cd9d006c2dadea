"""Everything a request may need, opened and closed together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from refcrm.access_log import AccessLog
from refcrm.database import Database
from refcrm.errors import ApiError
from refcrm.faults import Faults
from refcrm.limits import RateLimiter
from refcrm.metrics import Metrics
from refcrm.sessions import Sessions
from refcrm.settings import Settings
from refcrm.trace import Tracer

_PRUNE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one running server."""

    settings: Settings
    database: Database
    sessions: Sessions
    limiter: RateLimiter
    access_log: AccessLog
    metrics: Metrics
    tracer: Tracer
    faults: Faults


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """Open the parts, run their background tasks, and at the end write what waits and close.

    Raises RefcrmError when the database cannot be reached.
    """
    # One connection more than asked for: a locked table must not also take a worker's.
    database = await Database.open(settings.database_url, size=settings.connections + 1)
    services = Services(
        settings,
        database,
        Sessions(database, token_seconds=settings.token_seconds),
        RateLimiter(settings.rate, settings.burst),
        AccessLog(database),
        Metrics(),
        Tracer(ratio=settings.trace_ratio, slow_seconds=settings.slow_seconds),
        Faults(database, enabled=settings.faults),
    )
    tasks = [
        asyncio.create_task(services.access_log.run()),
        asyncio.create_task(_prune(services.sessions)),
    ]
    try:
        yield services
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await services.faults.clear()
        await services.access_log.flush()
        services.sessions.close()
        services.tracer.close()
        await database.close()


async def _prune(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(_PRUNE_SECONDS)
        with contextlib.suppress(ApiError):
            await sessions.prune()
