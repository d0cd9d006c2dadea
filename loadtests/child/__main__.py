"""``python -m loadtests.child``: reads a plan, puts the CRM under load, streams what it counts.

Standard input: the plan (one line), then ``go``; its end, or ``stop``, ends the load.  Standard
output: JSON lines (``ready``, then ``delta`` every second, then ``done``, or ``error``).
"""

from __future__ import annotations

import locust  # isort: skip  # first of all: it patches the standard library
import gc
import json
import os
import random
import resource
import sys
import time
from typing import Any

import gevent
import gevent.event
from gevent.os import make_nonblocking, nb_read, nb_write
from gevent.queue import Queue
from locust.env import Environment

from crmops.errors import CrmopsError
from loadtests.child.arrivals import schedule_arrivals
from loadtests.child.books import Books
from loadtests.child.client import open_site
from loadtests.child.connection import ConnectionLost
from loadtests.child.health import Health
from loadtests.child.person import Stage, person_class
from loadtests.journal import JournalWriter
from loadtests.plan import Plan
from loadtests.schedule import PhaseClock

PERIOD = 1.0
SPARE_DESCRIPTORS = 100
DRAIN = 30.0
"""Most seconds that are waited at the end for answers that are still outstanding."""


class Pipe:
    """The line to the parent; writing never blocks the loop."""

    def __init__(self, handle: int) -> None:
        make_nonblocking(handle)
        self._handle = handle

    def write(self, message: dict[str, Any]) -> None:
        """Send one JSON line.  A parent who has gone is the end: nobody would read on."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            while data:
                data = data[nb_write(self._handle, data) :]
        except OSError:
            os._exit(1)


class Parent:
    """Listens to the parent: ``go`` begins, ``stop`` or the end of the pipe ends."""

    def __init__(self, handle: int, rest: bytes) -> None:
        make_nonblocking(handle)
        self._handle, self._rest = handle, rest
        self.stop = gevent.event.Event()
        self.go = gevent.event.Event()

    def listen(self) -> None:
        """Runs as a greenlet."""
        while True:
            *lines, self._rest = self._rest.split(b"\n")
            if b"go" in lines:
                self.go.set()
            if b"stop" in lines:
                break
            data = nb_read(self._handle, 4096)
            if not data:
                break
            self._rest += data
        self.stop.set()
        self.go.set()


class Generator:
    """One generator process at work."""

    def __init__(self, plan: Plan, pipe: Pipe) -> None:
        self.plan, self.pipe, self.books = plan, pipe, Books()
        self.workload = plan.workload_model()
        self.environment = Environment(user_classes=[])
        self.clock = PhaseClock([(each.name, each.seconds) for each in self.workload.phases])
        fire = self.environment.events.request.fire
        site = open_site(plan.target_model(), self.books, plan.max_rate, fire, plan.redirects)
        os.umask(0o077)
        self.journal = JournalWriter(plan.journal_path, plan.run_id)
        self.stage = Stage(
            site, self.workload, plan.journeys, self.journal, plan.run_id, plan.seed,
            list(reversed(plan.people)), self.phase, plan.client,
        )  # fmt: skip

    def phase(self) -> str:
        """The present phase's name."""
        return self.clock.at(time.monotonic() - self.stage.begins)

    def run(self, parent: Parent) -> None:
        """Live through the workload, or until the parent says stop."""
        people = person_class(self.stage)
        self.environment.user_classes = [people]
        runner = self.environment.create_local_runner()
        stage = self.stage
        runner.start(len(self.plan.people), spawn_rate=max(len(self.plan.people), 1))
        while runner.user_count < len(self.plan.people):
            gevent.sleep(0.05)
        gc.collect()
        gc.freeze()  # thousands of people are looked through no more: that took 0.2 s a time
        stage.begins = time.monotonic() + 0.1
        stage.ends = stage.begins + self.workload.seconds
        stage.begun.set()
        health = Health()
        if self.workload.model == "open":
            stage.arrivals = Queue()
            rng = random.Random(f"{self.plan.seed}/arrivals/{self.plan.worker}")
            gevent.spawn(
                schedule_arrivals, self.workload, self.plan.share, rng, stage.begins,
                self.books, stage.arrivals,
            )  # fmt: skip
        streaming = gevent.spawn(self._stream, health)
        stopped = parent.stop.wait(timeout=max(stage.ends - time.monotonic(), 0.0))
        self._drain(2.0 if stopped else min(DRAIN, stage.site.target.timeout))
        streaming.kill()
        runner.quit()
        self.journal.close()
        self._delta(health)
        self.pipe.write({"type": "done", "stopped": stopped})

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
        self.pipe.write(
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


def raise_descriptor_limit(people: int) -> None:
    """One connection a person.  Raises CrmopsError if the system does not grant so many."""
    wanted = people + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and (hard == resource.RLIM_INFINITY or hard >= wanted):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    elif soft < wanted:
        raise CrmopsError(
            f"{people} people need {wanted} open files, the limit is {hard}",
            hint=f"Raise it (ulimit -n {wanted}), or spread the people with --workers.",
        )


def main() -> int:
    """Read the plan, obey it, and say how it went."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever locust prints goes to the log
    pipe = Pipe(out)
    try:
        line, rest = read_line(0)
        plan = Plan.load(line)
        raise_descriptor_limit(len(plan.people))
        generator = Generator(plan, pipe)
    except CrmopsError as error:
        pipe.write({"type": "error", "message": error.message, "hint": error.hint})
        return 4
    except ConnectionLost as error:
        pipe.write({"type": "error", "message": str(error), "hint": ""})
        return 4
    parent = Parent(0, rest)
    gevent.spawn(parent.listen)
    pipe.write({"type": "ready", "locust": locust.__version__, "pid": os.getpid()})
    parent.go.wait()
    if not parent.stop.is_set():
        generator.run(parent)
    return 0


def read_line(handle: int) -> tuple[bytes, bytes]:
    """The first line, and what came with it of the next."""
    data = b""
    while b"\n" not in data:
        part = os.read(handle, 1 << 20)
        if not part:
            raise CrmopsError("the plan was cut off")
        data += part
    line, _, rest = data.partition(b"\n")
    return line, rest


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
