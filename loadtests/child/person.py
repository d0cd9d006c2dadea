"""A simulated person as locust knows one: comes, logs in, works, goes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.event import Event
from gevent.queue import Queue
from locust import User, constant, task
from locust.exception import StopUser

from crmops.connectors import connectors
from crmops.connectors.base import Connector
from crmops.journeys import journeys
from crmops.journeys.base import Journey, Person
from crmops.outcome import Outcome
from crmops.target import Target
from loadtests.child.client import Site, needs_cookies
from loadtests.child.stock import client_of, user_bases
from loadtests.child.walker import TimeIsUp, Walker
from loadtests.child.written import journalled
from loadtests.journal import JournalWriter
from loadtests.plan import PersonPlan
from loadtests.workload import Role, Workload

REFUSED_LOGIN_PAUSE = 5.0
"""Median seconds until a person whose login was refused tries again (times the pace)."""


@dataclass(slots=True)
class Stage:
    """What everybody of a process shares.  Times are by the steady clock."""

    site: Site
    workload: Workload
    repertoire: dict[str, dict[str, float]]
    journal: JournalWriter
    run_id: str
    seed: str
    waiting: list[PersonPlan]
    phase: Callable[[], str]
    client: str = "lean"
    begins: float = 0.0
    ends: float = 0.0
    closing: float = float("inf")
    arrivals: Queue[float] | None = None
    present: dict[str, int] = field(default_factory=dict)
    logged_in: int = 0
    idle: int = 0
    people: list[CrmPerson] = field(default_factory=list)
    begun: Event = field(default_factory=Event)
    known: dict[str, Journey] = field(default_factory=journeys)
    kinds: dict[str, Callable[[Target], Connector]] = field(default_factory=connectors)

    def connector(self) -> Connector:
        """A new connector for one person, which journals what it writes."""
        target = self.site.target
        made = self.kinds[target.connector](target)
        return journalled(made, self.journal, self.run_id)


class CrmPerson(User):
    """Lives one person's plan.  The stage is given by :func:`person_class`."""

    abstract = True
    stage: Stage
    wait_time = constant(0)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        stage = self.stage
        stage.people.append(self)
        self.plan = stage.waiting.pop()
        self.role: Role = stage.workload.roles[self.plan.role]
        self.rng = random.Random(f"{stage.seed}/{self.plan.username}")
        self.person = Person(
            self.plan.username, self.plan.password, self.plan.role, stage.run_id, self.rng,
            habits=self.role.habits,
        )  # fmt: skip
        self.crm = stage.connector()
        self.client = client_of(
            self, stage.site, self.crm.classify, self.rng, cookies=needs_cookies(self.crm)
        )
        pace = self.role.pace * stage.workload.pace
        self.walker = Walker(
            self.client, stage.site.books, self.plan.role, stage.phase, self.rng,
            pace=pace, spread=self.role.spread,
        )  # fmt: skip
        names = stage.repertoire[self.plan.role]
        self.names, self.weights = list(names), list(names.values())

    @task
    def live(self) -> None:
        """The person's whole time; locust stops them afterwards."""
        self.stage.begun.wait()
        for come, go in self.plan.stays:
            _sleep_until(self.stage.begins + come)
            self.walker.until = min(self.stage.begins + go, self.stage.closing)
            self._be_there()
        raise StopUser

    def on_stop(self) -> None:
        """Locust's word that this person is over."""
        self.client.close()

    def _be_there(self) -> None:
        present, role = self.stage.present, self.plan.role
        present[role] = present.get(role, 0) + 1
        try:
            while True:
                if self.stage.arrivals is None:
                    self._session()
                else:
                    self._serve(self.stage.arrivals)
        except TimeIsUp:
            pass
        finally:
            present[role] -= 1
            self._leave()

    def _session(self) -> None:
        """Log in, work for a while, log out or simply walk away."""
        if not self._log_in():
            self.walker.think(REFUSED_LOGIN_PAUSE)
            return
        length = self.role.session * self.rng.lognormvariate(0.0, self.role.spread)
        over = time.monotonic() + length
        while time.monotonic() < over and self.person.logged_in:
            self._journey()
            self.walker.think(self.role.pause)
        if self.rng.random() >= self.role.abandon:
            self.walker.walk("logout", self.crm.logout())
        self._leave()

    def _serve(self, arrivals: Queue[float]) -> None:
        """Open model: take an arrival and do its work; its wait counts from the intended start."""
        stage, counts = self.stage, self.stage.site.books.counts
        stage.idle += 1
        try:
            intended = arrivals.get(timeout=max(self.walker.until - time.monotonic(), 0.0) or None)
        except gevent.queue.Empty:
            raise TimeIsUp from None
        finally:
            stage.idle -= 1
        if time.monotonic() - intended > stage.workload.patience:
            counts["dropped"] += 1
            return
        self.walker.intended = time.perf_counter() - (time.monotonic() - intended)
        if not self.person.logged_in and not self._log_in():
            return
        self._journey()

    def _log_in(self) -> bool:
        outcome = self.walker.walk("login", self.stage.known["login"].walk(self.crm, self.person))
        if self.person.logged_in:
            self.stage.logged_in += 1
        return self.person.logged_in and outcome is Outcome.OK

    def _journey(self) -> None:
        name = self.rng.choices(self.names, self.weights)[0]
        talk = self.stage.known[name].walk(self.crm, self.person)
        if self.walker.walk(name, talk) is Outcome.AUTH:
            self._leave()

    def _leave(self) -> None:
        """The session is over, on our side at least; the next one has a connection of its own."""
        if self.person.logged_in:
            self.stage.logged_in -= 1
        self.person.logged_in = False
        self.client.close()


def person_class(stage: Stage) -> type[CrmPerson]:
    """A locust user class whose people live on this stage."""
    bases, fields = user_bases(CrmPerson, stage.client, stage.site.target)
    return type("Person", bases, {**fields, "stage": stage, "abstract": False})


def _sleep_until(moment: float) -> None:
    gevent.sleep(max(moment - time.monotonic(), 0.0))
