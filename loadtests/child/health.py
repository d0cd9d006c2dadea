"""How the generator itself is: loop lag, CPU, memory, descriptors."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import gevent

from loadtests.buckets import Buckets

TICK = 0.05
"""Seconds between two looks at the loop."""


class Health:
    """Watches the event loop: how much later than asked a sleeping greenlet wakes."""

    def __init__(self) -> None:
        self.lag = Buckets()
        self._cpu = _cpu_seconds()
        self._wall = time.monotonic()
        self._clock = time.time()
        self._greenlet = gevent.spawn(self._run)

    def hand_over(self) -> dict[str, Any]:
        """Everything since the last time, as plain data."""
        lag, self.lag = self.lag, Buckets()
        cpu, wall, clock = _cpu_seconds(), time.monotonic(), time.time()
        handed = {
            "lag": lag.pack(),
            "cpu": cpu - self._cpu,
            "wall": wall - self._wall,
            "clock_step": (clock - self._clock) - (wall - self._wall),
            "rss": _resident_bytes(),
            "descriptors": _descriptors(),
            "descriptor_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        }
        self._cpu, self._wall, self._clock = cpu, wall, clock
        return handed

    def stop(self) -> None:
        """Watch no longer."""
        self._greenlet.kill()

    def note(self, lag: float) -> None:
        """Count a lag, and those of the looks that were missed meanwhile.

        One stop of four seconds is eighty looks that each found the loop stopped, not one.
        """
        while lag >= 0:
            self.lag.add(int(lag * 1_000_000))
            lag -= TICK

    def _run(self) -> None:
        while True:
            due = time.monotonic() + TICK
            gevent.sleep(TICK)
            self.note(time.monotonic() - due)


def _cpu_seconds() -> float:
    return time.process_time()


def _resident_bytes() -> int:
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _descriptors() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0
