"""One generator process at work: the people of a plan, from the first to the last."""

from __future__ import annotations

import gc
import os
import random
import time
from typing import Any, Protocol

import gevent
import gevent.event
from gevent.queue import Queue
from locust.env import Environment
from locust.runners import LocalRunner, WorkerRunner

from loadtests.child.arrivals import schedule_arrivals
from loadtests.child.books import Books
from loadtests.child.client import open_site
from loadtests.child.health import Health
from loadtests.child.person import Stage, person_class
from loadtests.journal import JournalWriter
from loadtests.plan import Plan
from loadtests.schedule import PhaseClock

PERIOD = 1.0
DRAIN = 30.0
"""Most seconds that are waited at the end for answers that are still outstanding."""

STOP_DRAIN = 2.0
"""The same for a load that somebody has stopped."""


class Line(Protocol):
    """What takes the numbers to whoever puts them together."""

    def write(self, message: dict[str, Any]) -> None:
        """Send one message."""


class Generator:
    """One generator process at work.  ``runner`` is a worker's that has joined a master; without
    one the people run under a runner of their own.
    """

    def __init__(
        self,
        plan: Plan,
        line: Line,
        *,
        runner: WorkerRunner | None = None,
        journal: JournalWriter | None = None,
    ) -> None:
        self.plan, self.line, self.books = plan, line, Books()
        self.workload = plan.workload_model()
        self.environment = runner.environment if runner else Environment(user_classes=[])
        self.clock = PhaseClock([(each.name, each.seconds) for each in self.workload.phases])
        fire = self.environment.events.request.fire
        site = open_site(plan.target_model(), self.books, plan.max_rate, fire, plan.redirects)
        os.umask(0o077)
        self.journal = journal or JournalWriter(plan.journal_path, plan.run_id)
        self.stage = Stage(
            site, self.workload, plan.journeys, self.journal, plan.run_id, plan.seed,
            list(reversed(plan.people)), self.phase, plan.client,
        )  # fmt: skip
        self._joined = runner
        self.runner: LocalRunner | WorkerRunner | None = None

    def phase(self) -> str:
        """The present phase's name."""
        return self.clock.at(time.monotonic() - self.stage.begins)

    def gather(self) -> LocalRunner | WorkerRunner:
        """Let everybody come to life; they wait for the beginning."""
        people, count = person_class(self.stage), len(self.plan.people)
        self.environment.user_classes = [people]
        runner: LocalRunner | WorkerRunner
        if self._joined is None:
            runner = self.environment.create_local_runner()
            runner.start(count, spawn_rate=max(count, 1))
        else:
            runner = self._joined
            runner.start_worker({people.__name__: count})
        while runner.user_count < count:
            gevent.sleep(0.05)
        gc.collect()
        gc.freeze()  # thousands of people are looked through no more: that took 0.2 s a time
        self.runner = runner
        return runner

    def run(
        self, stop: gevent.event.Event, begins: float | None = None, since: float = 0.0
    ) -> None:
        """Live through the workload, or until ``stop``.

        ``begins`` is its beginning by the steady clock, now if nobody says; ``since`` is how many
        seconds of it are over for one who joins later.
        """
        runner, stage = self.runner or self.gather(), self.stage
        stage.begins = time.monotonic() + 0.1 if begins is None else begins
        stage.ends = stage.begins + self.workload.seconds
        stage.begun.set()
        health = Health()
        if self.workload.model == "open":
            stage.arrivals = Queue()
            rng = random.Random(f"{self.plan.seed}/arrivals/{self.plan.worker}")
            gevent.spawn(
                schedule_arrivals, self.workload, self.plan.part, rng, stage.begins,
                self.books, stage.arrivals, since,
            )  # fmt: skip
        streaming = gevent.spawn(self._stream, health)
        stopped = stop.wait(timeout=max(stage.ends - time.monotonic(), 0.0))
        self._drain(STOP_DRAIN if stopped else min(DRAIN, stage.site.target.timeout))
        streaming.kill()
        if self._joined is None:
            runner.quit()
        else:
            runner.stop()
        self.journal.close()
        self._delta(health)
        self.line.write({"type": "done", "stopped": stopped})

    def _drain(self, seconds: float) -> None:
        """Let nobody begin anything more, and wait for the answers that are outstanding."""
        self.stage.closing = now = time.monotonic()
        for person in self.stage.people:
            person.walker.until = min(person.walker.until, now)
        while self.books.in_flight and time.monotonic() < now + seconds:
            gevent.sleep(0.05)

    def _stream(self, health: Health) -> None:
        pool = gevent.get_hub().threadpool
        due = time.monotonic()
        while True:
            due += PERIOD
            gevent.sleep(max(due - time.monotonic(), 0.0))
            self._delta(health)
            pool.apply(self.journal.sync)

    def _delta(self, health: Health) -> None:
        stage = self.stage
        queue = stage.arrivals
        self.line.write(
            {
                "type": "delta",
                "at": round(time.monotonic() - stage.begins, 3),
                "present": {role: count for role, count in stage.present.items() if count},
                "logged_in": stage.logged_in,
                "queued": queue.qsize() if queue is not None else 0,
                "idle": stage.idle,
                **self.books.hand_over(),
                "health": health.hand_over(),
            }
        )
