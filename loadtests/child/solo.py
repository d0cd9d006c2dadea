"""People as locust users for whoever starts ``locust`` himself: no plan, no parent, no verdict."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from locust import User, tag
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner

from crmops.connectors import connectors
from crmops.connectors.base import Talk
from crmops.errors import CrmopsError
from crmops.journeys import journeys
from crmops.journeys._pick import tidy
from crmops.journeys.base import Person
from crmops.outcome import Outcome
from crmops.record import new_id
from crmops.target import Account
from crmops.wire import Call, Order, Reply
from loadtests.child.books import Books
from loadtests.child.client import Client, Site, needs_cookies, open_site
from loadtests.child.connection import ConnectionLost
from loadtests.child.person import REFUSED_LOGIN_PAUSE
from loadtests.child.stock import client_of, user_bases
from loadtests.child.walker import TimeIsUp, Walker
from loadtests.distributed.address import PORT, Address
from loadtests.standalone import Terms
from loadtests.workload import Role

log = logging.getLogger("crmops.load")

PHASE = "test"
"""Locust's tests have one phase, and all that is counted belongs to it."""


class House:
    """What the people of one locust process share: the accounts, the books, the open sites."""

    def __init__(self, terms: Terms, environment: Environment) -> None:
        self.terms = terms
        self.tag = f"locust-{new_id()}"
        self.left = 0
        self.books = Books()
        self._environment = environment
        self._sites: dict[str, Site] = {}
        self._said: set[str] = set()
        self._begun = time.monotonic()
        worker, self._workers = _place(environment)
        self._free = terms.accounts(worker, self._workers)
        self._taken = 0
        log.info("what these people create carries source_tag %s", self.tag)

    @property
    def until(self) -> float:
        """When everybody must have stopped (steady clock): the target's ``max_duration``."""
        return self._begun + self.terms.target.load.max_duration

    def site(self) -> Site:
        """The CRM at locust's present host.  Raises CrmopsError or ConnectionLost."""
        host = str(self._environment.host or "")
        if host not in self._sites:
            target = self.terms.at(host)
            rate = target.load.max_rate / self._workers
            fire = self._environment.events.request.fire
            self._sites[host] = open_site(
                target, self.books, rate, fire, self.terms.settings.follow_redirects
            )
        return self._sites[host]

    def take(self, role: str) -> Account | None:
        """An account that nobody uses; None when all are taken or the target allows no more."""
        pools = [self._free.get(each, []) for each in self.terms.account_roles(role)]
        fullest = max(pools, key=len)
        most = max(self.terms.target.load.max_users // self._workers, 1)
        if self._taken >= most:
            self.say(f"no more than {most} people are allowed here: the others do nothing")
            return None
        if not fullest:
            self.say(f"no account is left for role {role}: more people of it do nothing")
            return None
        self._taken += 1
        return fullest.pop()

    def give_back(self, account: Account) -> None:
        """The account is free again."""
        self._taken -= 1
        self._free[account.role].append(account)

    def say(self, words: str) -> None:
        """Log a warning, once."""
        if words not in self._said:
            self._said.add(words)
            log.warning(words)

    def refuse(self, words: str) -> None:
        """The run must not go on: say why, and end it (the web page stays)."""
        if words in self._said:
            return
        self._said.add(words)
        log.error(words)
        environment = self._environment
        if environment.runner is None or isinstance(environment.runner, WorkerRunner):
            return
        if environment.web_ui is None:
            environment.process_exit_code = 2
            gevent.spawn(environment.runner.quit)
        else:
            gevent.spawn(environment.runner.stop)


_houses: WeakKeyDictionary[Environment, House] = WeakKeyDictionary()


def house_of(environment: Environment, terms: Terms) -> House:
    """The one house of a locust environment."""
    if environment not in _houses:
        _houses[environment] = House(terms, environment)
    return _houses[environment]


def present_house(environment: Environment) -> House | None:
    """The house, if anybody has moved in yet."""
    return _houses.get(environment)


def _one_phase() -> str:
    return PHASE


def _place(environment: Environment) -> tuple[int, int]:
    """Which of how many processes this is: ``--processes`` says, or the master's
    ``--expect-workers``, which it tells its workers.
    """
    if not isinstance(environment.runner, WorkerRunner):
        return 0, 1
    said = (
        getattr(environment.parsed_options, name, 1) for name in ("processes", "expect_workers")
    )
    count = max(int(each or 1) for each in said)
    index = max(environment.runner.worker_index, 0)
    if index >= count:
        log.error(
            "worker %d has no accounts: start the master with --expect-workers %d", index, index + 1
        )
    return index, max(count, 1)


def warn_of_strangers(environment: Environment) -> None:
    """Say it loudly when anybody in the network may join locust's master and steer its workers."""
    host = str(getattr(environment.parsed_options, "master_bind_host", "*"))
    if isinstance(environment.runner, MasterRunner) and not Address(host, PORT).is_loopback:
        log.warning(
            "LOCUST'S PROTOCOL IS PLAIN: whoever reaches port %s of this machine can read what "
            "master and workers say, join and steer them. Add --master-bind-host 127.0.0.1, or use "
            "`crmops load run --listen`, which is encrypted and asks for a secret",
            getattr(environment.parsed_options, "master_bind_port", PORT),
        )


class SoloWalker(Walker):
    """Walks as locust does: a call that the end of the test cuts off is not counted."""

    def _unanswered(self, call: Call, started: float) -> None:
        pass


class CrmUser(User):
    """One person of a role; subclasses are made by :func:`user_classes`."""

    abstract = True
    terms: Terms
    role_name: str
    house: House | None = None
    account: Account | None = None

    @property
    def role(self) -> Role:
        """The role in the workload."""
        return self.terms.workload.roles[self.role_name]

    def wait_time(self) -> float:
        """Seconds between two journeys: lognormal, as the role says."""
        pace = self.role.pace * self.terms.workload.pace * self.terms.settings.think_scale
        return self.role.pause * pace * random.lognormvariate(0.0, self.role.spread)

    def walk(self, name: str) -> None:
        """Log in if need be, walk a journey, and log out when the session is over."""
        if self.account is None:
            self._settle()
        try:
            if not self.person.logged_in and not self._log_in():
                self.walker.think(REFUSED_LOGIN_PAUSE)
                return
            talk = self.known[name].walk(self.crm, self.person)
            if self.walker.walk(name, talk) is Outcome.AUTH:
                self.person.logged_in = False
            elif time.monotonic() >= self.session_ends:
                self._log_out()
        except TimeIsUp:
            raise StopUser from None

    def on_stop(self) -> None:
        """Take away what this person created, and give the account back."""
        if self.account is None or self.house is None:
            return
        account, self.account = self.account, None
        try:
            if self.person.created and self.person.logged_in:
                _converse(self.client, tidy(self.crm, self.person))
        finally:
            if self.person.created:
                left = len(self.person.created)
                log.warning("%d records with source_tag %s are left", left, self.house.tag)
            self.client.close()
            self.house.give_back(account)

    def _settle(self) -> None:
        """Move in: a login of one's own, a connection, a walk.  Raises StopUser if that fails."""
        self.house = house = house_of(self.environment, self.terms)
        try:
            site = house.site()
        except (CrmopsError, ConnectionLost) as refusal:
            hint = getattr(refusal, "hint", "")
            house.refuse(f"{refusal}. {hint}" if hint else str(refusal))
            raise StopUser from None
        self.account = account = house.take(self.role_name)
        if account is None:
            raise StopUser
        rng = random.Random(f"{house.tag}/{account.username}")
        secret = account.password.reveal()
        self.person = Person(account.username, secret, self.role_name, house.tag, rng)
        self.person.habits = self.role.habits
        self.crm = connectors()[site.target.connector](site.target)
        self.known = journeys()
        cookies = needs_cookies(self.crm)
        self.client = client_of(self, site, self.crm.classify, rng, cookies=cookies)
        pace = self.role.pace * self.terms.workload.pace * self.terms.settings.think_scale
        self.walker = SoloWalker(
            self.client, site.books, self.role_name, _one_phase, rng,
            pace=pace, spread=self.role.spread,
        )  # fmt: skip
        self.walker.until = house.until
        self.session_ends = 0.0

    def _log_in(self) -> bool:
        outcome = self.walker.walk("login", self.known["login"].walk(self.crm, self.person))
        length = self.role.session * self.person.rng.lognormvariate(0.0, self.role.spread)
        self.session_ends = time.monotonic() + length
        return self.person.logged_in and outcome is Outcome.OK

    def _log_out(self) -> None:
        if self.person.rng.random() >= self.role.abandon:
            self.walker.walk("logout", self.crm.logout())
        self.person.logged_in = False
        self.client.close()


def _converse(client: Client, talk: Talk[Any]) -> None:
    """Carry an operation through without counting its calls."""
    reply: Reply | None = None
    problem = None
    try:
        while True:
            order: Order = talk.throw(problem) if problem is not None else talk.send(reply)
            reply, problem = None, None
            if isinstance(order, Call):
                sent = client.send(order)
                reply, problem = sent.reply, sent.problem if sent.reply is None else None
    except StopIteration:
        pass


def user_classes(terms: Terms) -> dict[str, type[CrmUser]]:
    """A locust user class for each role of the workload, with a task for each journey."""
    found = {}
    bases, settled = user_bases(CrmUser, terms.settings.client, terms.target)
    for role, weights in terms.journeys.items():
        total = sum(weights.values())
        tasks = {
            _task(name, role): max(round(weight / total * 100), 1)
            for name, weight in weights.items()
        }
        name = "".join(part.capitalize() for part in role.split("_"))
        fields = {
            **settled,
            "__doc__": f"People of role {role}.",
            "abstract": False,
            "terms": terms,
            "role_name": role,
            "weight": max(round(terms.workload.roles[role].share * 1000), 1),
            "tasks": tasks,
        }
        if not terms.typed:
            fields["host"] = terms.target.url
        found[name] = type(name, bases, fields)
    return found


def _task(journey: str, role: str) -> Callable[[CrmUser], None]:
    def walk(user: CrmUser) -> None:
        user.walk(journey)

    walk.__name__ = journey
    made: Callable[[CrmUser], None] = tag(role, journey)(walk)
    return made


def drop_untagged(environment: Environment) -> None:
    """Take away the classes of which ``--tags`` and ``--exclude-tags`` leave no task.

    locust keeps them, and every person of such a class would fail.
    """
    options = environment.parsed_options
    wanted = set(getattr(options, "tags", None) or ())
    unwanted = set(getattr(options, "exclude_tags", None) or ())

    def stays(task: Any) -> bool:
        tags = task.locust_tag_set
        return not tags & unwanted and bool(not wanted or tags & wanted)

    environment.user_classes = [
        each for each in environment.user_classes if any(map(stays, each.tasks))
    ]
