"""Faults on order, for practising: slow answers, errors, stalls, lost writes, a locked table.

Only a server started with --faults has them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import asyncpg

from refcrm.database import Database
from refcrm.errors import ApiError, invalid
from refcrm.model import ENTITIES

_LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class Knobs:
    """The faults in force; the defaults are none.

    latency_seconds: wait before every answer whose path starts with one of latency_paths
    (empty: every path below /api/). error_ratio: share of API requests answered 500.
    stall_seconds, stall_every_seconds: everything stops for that long, that often.
    lost_write_ratio: share of creates (rows of an import too), changes and deletes answered as
        done but undone.
    sync_lag_seconds: how much the modified and deleted feeds lag behind. locked_table: an
    entity whose table is held under an exclusive lock. leak_permission: reads ignore ownership.
    """

    latency_seconds: float = 0.0
    latency_paths: tuple[str, ...] = ()
    error_ratio: float = 0.0
    stall_seconds: float = 0.0
    stall_every_seconds: float = 0.0
    lost_write_ratio: float = 0.0
    sync_lag_seconds: float = 0.0
    locked_table: str | None = None
    leak_permission: bool = False

    def document(self) -> dict[str, Any]:
        """The knobs as JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


NONE = Knobs()


class Faults:
    """Holds the knobs and does what they say."""

    def __init__(self, database: Database, *, enabled: bool) -> None:
        self.enabled = enabled
        self.knobs = NONE
        self._database = database
        self._set_at = time.monotonic()
        self._lock_holder: asyncio.Task[None] | None = None

    async def change(self, wanted: Mapping[str, Any]) -> None:
        """Turn some knobs; ApiError 400 when one is unknown or out of range."""
        knobs = replace(self.knobs, **_checked(wanted))
        await self._hold_lock(knobs.locked_table)
        self.knobs = knobs
        self._set_at = time.monotonic()

    async def clear(self) -> None:
        """Turn all knobs off."""
        await self._hold_lock(None)
        self.knobs = NONE

    async def before(self, path: str) -> None:
        """Delay or fail a request as ordered."""
        knobs = self.knobs
        if knobs.stall_seconds > 0:
            await asyncio.sleep(self._stall_left(knobs))
        if knobs.latency_seconds > 0 and path.startswith(knobs.latency_paths or "/api/"):
            await asyncio.sleep(knobs.latency_seconds)
        if path.startswith("/api/") and random.random() < knobs.error_ratio:
            raise ApiError(500, "internal", "an injected fault")

    def loses_write(self) -> bool:
        """Whether the write at hand is to be answered but undone."""
        ratio = self.knobs.lost_write_ratio
        return ratio > 0 and random.random() < ratio

    def _stall_left(self, knobs: Knobs) -> float:
        period = max(knobs.stall_every_seconds, knobs.stall_seconds)
        phase = (time.monotonic() - self._set_at) % period
        return max(0.0, knobs.stall_seconds - phase)

    async def _hold_lock(self, table: str | None) -> None:
        if table == self.knobs.locked_table and table is not None:
            return
        if self._lock_holder is not None:
            self._lock_holder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._lock_holder
            self._lock_holder = None
        if table is not None:
            held = asyncio.get_running_loop().create_future()
            self._lock_holder = asyncio.create_task(self._lock(table, held))
            await held

    async def _lock(self, table: str, held: asyncio.Future[None]) -> None:
        try:
            async with self._database.transaction() as connection:
                await connection.execute("set local idle_in_transaction_session_timeout = 0")
                await connection.execute(f"lock table {table} in access exclusive mode")
                held.set_result(None)
                await asyncio.Event().wait()
        except (ApiError, asyncpg.PostgresError) as error:
            if not held.done():
                held.set_exception(error)


def _checked(wanted: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, given in wanted.items():
        try:
            values[name] = _knob(name, given)
        except ValueError as error:
            reasons[name] = str(error)
    if reasons:
        raise invalid(f"{len(reasons)} fault knob(s) do not fit", reasons)
    return values


def _knob(name: str, given: Any) -> Any:
    if name == "locked_table":
        if given is not None and given not in ENTITIES:
            raise ValueError(f"must be null or one of {', '.join(ENTITIES)}")
        return given
    if name == "leak_permission":
        if not isinstance(given, bool):
            raise ValueError("must be true or false")
        return given
    if name == "latency_paths":
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise ValueError("must be a list of path prefixes")
        return tuple(given)
    if name not in NONE.document():
        raise ValueError("is not a fault knob")
    most = 1.0 if name.endswith("_ratio") else _LONGEST
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= most:
        raise ValueError(f"must be a number from 0 to {most:g}")
    return float(given)
