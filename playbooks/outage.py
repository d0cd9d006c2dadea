"""What people would have noticed of a failover: probes all the time, and a writer who counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

Ask = Callable[[], str]
"""A probe: nothing if it was answered well, else what was wrong.  It must come to an end soon."""

Write = Callable[[int], None]
"""Commit a numbered row; raises when it is not certain that it is stored."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One probe: when it began and ended, seconds of the steady clock, and what was wrong."""

    began: float
    ended: float
    problem: str = ""


def outage_of(seen: Sequence[Seen]) -> float | None:
    """Seconds from the last good probe before the first bad one to the first of a good end.

    That is the longest time that nobody could work; how exact it is depends on how often is
    probed.  0 when every probe was good; None when there was no good one before or since.
    """
    bad = [number for number, each in enumerate(seen) if each.problem]
    if not seen:
        return None
    if not bad:
        return 0.0
    if bad[0] == 0 or bad[-1] == len(seen) - 1:
        return None
    return seen[bad[-1] + 1].ended - seen[bad[0] - 1].ended


@dataclass(slots=True)
class Observed:
    """What was seen so far, and which rows were acknowledged."""

    seen: list[Seen] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)

    def good_since(self, moment: float) -> int:
        """How many probes that began after a moment were good, since the last that was not."""
        count = 0
        for each in reversed(self.seen):
            if each.problem or each.began < moment:
                break
            count += 1
        return count

    def bad_since(self, moment: float) -> float | None:
        """When the first bad probe that ended after a moment did so."""
        return next((e.ended for e in self.seen if e.problem and e.ended > moment), None)


@contextmanager
def observing(ask: Ask, write: Write, pause: float) -> Iterator[Observed]:
    """Probe and write in threads of their own, for as long as the body lasts."""
    found, stop = Observed(), threading.Event()

    def probe() -> None:
        while not stop.is_set():
            began = time.monotonic()
            problem = ask()
            found.seen.append(Seen(began, time.monotonic(), problem))
            stop.wait(pause)

    def keep_writing() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                write(number)
                found.acknowledged.append(number)
            except Exception:  # whatever it is: this row was not acknowledged
                stop.wait(pause)
            stop.wait(pause / 5)

    threads = [threading.Thread(target=each, daemon=True) for each in (probe, keep_writing)]
    for each in threads:
        each.start()
    try:
        yield found
    finally:
        stop.set()
        for each in threads:
            each.join(30)
