"""The access log: who did what to which record.

Requests only append to a bounded queue in memory; a task copies it into the table a few times
a second. While the database is away the queue holds, and when it is full the oldest entries go
and are counted (metric refcrm_access_log_lost_total), because answers must not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime

import asyncpg

from refcrm.database import UNAVAILABLE, Database

_log = logging.getLogger("refcrm.access_log")

_COLUMNS = ("at", "user_id", "action", "entity", "record_id", "outcome")
_BATCH = 20_000

Entry = tuple[datetime, int | None, str, str | None, int | None, str]


class AccessLog:
    """Collects entries and writes them in batches."""

    def __init__(
        self, database: Database, *, flush_seconds: float = 0.2, capacity: int = 200_000
    ) -> None:
        self._database = database
        self._flush_seconds = flush_seconds
        self._queue: deque[Entry] = deque()
        self._capacity = capacity
        self._writing = asyncio.Lock()
        self.written = 0
        self.lost = 0

    def add(
        self,
        user_id: int | None,
        action: str,
        entity: str | None,
        record_id: int | None,
        outcome: str,
    ) -> None:
        """Note one action, to be written soon."""
        if len(self._queue) >= self._capacity:
            self._queue.popleft()
            self.lost += 1
        self._queue.append((datetime.now(UTC), user_id, action, entity, record_id, outcome))

    @property
    def waiting(self) -> int:
        """Entries not yet written."""
        return len(self._queue)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(self._flush_seconds)
            await self.flush()

    async def flush(self) -> bool:
        """Write what waits; False when the database did not take it (the entries stay)."""
        async with self._writing:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
                if not await self._copy(batch):
                    self._queue.extendleft(reversed(batch))
                    return False
                self.written += len(batch)
        return True

    async def _copy(self, batch: list[Entry]) -> bool:
        try:
            async with self._database.pool.acquire() as connection:
                await connection.copy_records_to_table(
                    "access_log", records=batch, columns=_COLUMNS
                )
        except (*UNAVAILABLE, asyncpg.PostgresError) as error:
            _log.warning("access log not written: %s", type(error).__name__)
            return False
        return True
