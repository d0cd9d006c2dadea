"""Open model: people arrive whether or not the CRM keeps up."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import gevent
from gevent.queue import Queue

from loadtests.child.books import Books
from loadtests.plan import Part
from loadtests.schedule import rate_at
from loadtests.workload import Workload


def schedule_arrivals(
    workload: Workload, part: Part, rng: random.Random, begins: float, books: Books,
    queue: Queue[float], since: float = 0.0,
) -> None:  # fmt: skip
    """Put the intended start of every arrival into a queue, at its time, until the end.

    The moments do not depend on the CRM, nor on how late this greenlet wakes: whoever is overdue
    is put in with the time that was intended.  ``since`` is when a process joined that takes up
    another's part: what was due before is not its own.
    """
    for moment in moments(workload, part, rng):
        if moment < since:
            continue
        due = begins + moment
        ahead = due - time.monotonic()
        if ahead > 0:
            gevent.sleep(ahead)
        books.counts["arrivals"] += 1
        books.counts["scheduled"] += 1
        if time.monotonic() - due <= 0.1:
            books.counts["on_time"] += 1
        queue.put(due)


def moments(workload: Workload, part: Part, rng: random.Random) -> Iterator[float]:
    """When people arrive, in seconds from the beginning: those of one process.

    Several processes divide constant arrivals among themselves, each taking its turn, so that
    together they are those of one; Poisson's add up to Poisson's by themselves.
    """
    constant = workload.arrivals == "constant"
    moment, end = 0.0, workload.seconds
    if constant:
        rate = rate_at(workload, 0.0) * part.share
        moment = (part.turn + 1 - part.turns) / part.turns / rate
    while True:
        rate = rate_at(workload, max(moment, 0.0)) * part.share
        moment += 1.0 / rate if constant else rng.expovariate(rate)
        if moment >= end:
            return
        yield moment
