"""Time limits for thousands of connections by one greenlet, instead of a timer for each wait."""

from __future__ import annotations

import time
from typing import Protocol

import gevent

TICK = 0.1
"""Seconds between two sweeps: a limit is kept to within as much."""


class Overdue(Exception):
    """Thrown into a greenlet that has waited too long; the text says for what."""


class Waiting(Protocol):
    """What the sweeper looks after."""

    due: float
    silent_since: float
    seen: int
    reads: int
    read_limit: float

    def expire(self, why: str) -> None:
        """End the wait; called in the hub."""


class Sweeper:
    """Looks at every connection ten times a second and ends the waits that are overdue."""

    def __init__(self) -> None:
        self.watched: set[Waiting] = set()
        self._greenlet: gevent.Greenlet | None = None

    def watch(self, connection: Waiting) -> None:
        """Begin to look after a connection."""
        self.watched.add(connection)
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(self._run)

    def forget(self, connection: Waiting) -> None:
        """Look after it no longer."""
        self.watched.discard(connection)

    def stop(self) -> None:
        """Look after nothing any longer."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def _run(self) -> None:
        loop = gevent.get_hub().loop
        while True:
            gevent.sleep(TICK)
            now = time.monotonic()
            for each in tuple(self.watched):
                if each.due and (why := _overdue(each, now)):
                    loop.run_callback(each.expire, why)


def _overdue(each: Waiting, now: float) -> str:
    if now >= each.due:
        return "no whole answer in time"
    if each.reads != each.seen:
        each.seen, each.silent_since = each.reads, now
    elif now - each.silent_since >= each.read_limit:
        return "the server fell silent"
    return ""
