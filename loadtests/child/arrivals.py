"""Open model: people arrive whether or not the CRM keeps up."""

from __future__ import annotations

import random
import time

import gevent
from gevent.queue import Queue

from loadtests.child.books import Books
from loadtests.schedule import rate_at
from loadtests.workload import Workload


def schedule_arrivals(
    workload: Workload, share: float, rng: random.Random, begins: float, books: Books,
    queue: Queue[float],
) -> None:  # fmt: skip
    """Put the intended start of every arrival into a queue, at its time, until the end.

    ``share`` is this process's part of the rate.  The moments do not depend on the CRM, nor on
    how late this greenlet wakes: whoever is overdue is put in with the time that was intended.
    """
    moment, end = 0.0, workload.seconds
    while True:
        rate = rate_at(workload, moment) * share
        moment += rng.expovariate(rate) if workload.arrivals == "poisson" else 1.0 / rate
        if moment >= end:
            return
        due = begins + moment
        ahead = due - time.monotonic()
        if ahead > 0:
            gevent.sleep(ahead)
        books.counts["arrivals"] += 1
        books.counts["scheduled"] += 1
        if time.monotonic() - due <= 0.1:
            books.counts["on_time"] += 1
        queue.put(due)
