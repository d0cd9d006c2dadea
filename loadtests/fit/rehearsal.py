"""What each journey does, learnt by walking it in a CRM made of a few records in memory."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from crmops.connectors.base import Identity, ImportReport, One, Page, Record, Talk
from crmops.journeys import journeys
from crmops.journeys.base import Journey, Person
from crmops.model import DEAL_STAGES, PLURALS
from crmops.outcome import CallFailed, ExpectationMissed
from crmops.target import Target
from crmops.wire import Call, Order, Reply, Think

LOGIN = "login"
WALKS = 20
"""Walks of each journey: people do not always do the same."""

Records: TypeAlias = list[Record]

_REPLY = Reply(200, {}, b"{}")


@dataclass(frozen=True, slots=True)
class Habit:
    """A journey's calls by operation in one walk, and the medians in seconds of the gaps between
    calls in all WALKS walks.

    A walk's last gap is the journey's last thought and the pause before the next one together: a
    log cannot tell them apart.
    """

    journey: str
    calls: Mapping[str, float]
    gaps: tuple[float, ...]


def habits(connector: object, pause: float) -> list[Habit]:
    """The habits of every journey that a connector can walk; no pause follows a login."""
    able = [
        each
        for each in journeys().values()
        if all(isinstance(one, power) for one in (connector, MemoryCrm()) for power in each.needs)
    ]
    found = (habit(each, 0.0 if each.name == LOGIN else pause) for each in able)
    return [each for each in found if each is not None]


def habit(journey: Journey, pause: float) -> Habit | None:
    """What one journey does; None if it cannot be walked here."""
    calls: Counter[str] = Counter()
    gaps: list[float] = []
    for seed in range(WALKS):
        try:
            _walk(journey, random.Random(seed), calls, gaps, pause)
        except (CallFailed, ExpectationMissed):
            return None
    shares = {name: number / WALKS for name, number in calls.items()}
    return Habit(journey.name, shares, tuple(gaps))


def _walk(
    journey: Journey, rng: random.Random, calls: Counter[str], gaps: list[float], pause: float
) -> None:
    person = Person("somebody", "", journey.roles[0], "", rng, logged_in=True)
    talk = journey.walk(MemoryCrm(), person)
    thought, answer, begun = 0.0, None, False
    try:
        while True:
            order = talk.send(answer)
            answer = _REPLY if isinstance(order, Call) else None
            if isinstance(order, Call):
                calls[order.name] += 1
                gaps.extend([thought] if thought and begun else [])
                thought, begun = 0.0, True
            elif isinstance(order, Think):
                thought += order.seconds
    except StopIteration:
        gaps.append(thought + pause)


def moments(found: Iterable[tuple[Habit, float]]) -> tuple[float, float]:
    """Mean and variance of the logarithms of all gaps, journeys weighed by how often they are."""
    weights = [(weight, math.log(gap)) for one, weight in found for gap in one.gaps]
    total = sum(weight for weight, _ in weights)
    if total <= 0:
        return 0.0, 0.0
    mean = sum(weight * value for weight, value in weights) / total
    return mean, sum(weight * (value - mean) ** 2 for weight, value in weights) / total


class MemoryCrm:
    """A connector to nothing: every entity has a few records, every call is answered at once.

    Its calls are named ``<plural>.<verb>``, as :mod:`loadtests.fit.operations` names them.
    """

    name = "memory"
    target = Target(name="memory", connector="memory", url="http://memory.invalid")

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], Record] = {}

    def classify(self, reply: Reply) -> CallFailed | None:
        del reply
        return None

    def auth_headers(self) -> Mapping[str, str]:
        return {}

    def login(self, username: str, password: str) -> Talk[Identity]:
        del password
        yield from _ask("login")
        return Identity("1", username, "rep")

    def logout(self) -> Talk[None]:
        yield from _ask("logout")

    def whoami(self) -> Talk[Identity]:
        yield from _ask("whoami")
        return Identity("1", "somebody", "rep")

    def list(
        self,
        entity: str,
        *,
        limit: int = 20,
        cursor: str | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Talk[Page]:
        del cursor
        yield from _ask(f"{PLURALS[entity]}.list")
        records = [{**_made_up(entity, number), **(where or {})} for number in range(min(limit, 5))]
        return Page(_REPLY, lambda _reply: (records, None))

    def search(self, entity: str, text: str, *, limit: int = 20) -> Talk[Page]:
        del limit
        yield from _ask(f"{PLURALS[entity]}.search")
        known = [_made_up(entity, number) for number in range(5)]
        found = [one for one in known if text in one.values()]
        return Page(_REPLY, lambda _reply: (found, None))

    def get(self, entity: str, record_id: str) -> Talk[One]:
        yield from _ask(f"{PLURALS[entity]}.get")
        return self._one(entity, record_id)

    def create(
        self, entity: str, fields: Mapping[str, Any], *, allow_duplicate: bool = False
    ) -> Talk[One]:
        del allow_duplicate
        yield from _ask(f"{PLURALS[entity]}.create")
        return self._store(entity, fields)

    def update(self, entity: str, record_id: str, fields: Mapping[str, Any]) -> Talk[One]:
        yield from _ask(f"{PLURALS[entity]}.update")
        self._stored.setdefault((entity, record_id), {"id": record_id}).update(fields)
        return self._one(entity, record_id)

    def delete(self, entity: str, record_id: str) -> Talk[None]:
        yield from _ask(f"{PLURALS[entity]}.delete")
        self._stored.pop((entity, record_id), None)

    def convert_lead(
        self, lead_id: str, deal: Mapping[str, Any] | None = None
    ) -> Talk[dict[str, str]]:
        yield from _ask("leads.convert")
        lead = self._stored.setdefault(("lead", lead_id), {"id": lead_id})
        lead["status"] = "converted"
        account = self._store("account", {}).id
        contact = self._store("contact", {"name": lead.get("name"), "account_id": account}).id
        made = self._store("deal", {**(deal or {}), "account_id": account}).id
        return {"account": account, "contact": contact, "deal": made}

    def pipeline(self, by: str = "stage") -> Talk[Records]:
        yield from _ask("reports.pipeline")
        keys = DEAL_STAGES if by == "stage" else ("1", "2")
        return [{"key": key, "count": 3, "amount": 1} for key in keys]

    def export(self, entity: str) -> Talk[int]:
        yield from _ask(f"{PLURALS[entity]}.export")
        return 1000

    def bulk_import(self, entity: str, rows: Iterable[Mapping[str, Any]]) -> Talk[ImportReport]:
        yield from _ask(f"{PLURALS[entity]}.import")
        ids = tuple(self._store(entity, row).id for row in rows)
        return ImportReport(len(ids), ids, ())

    def _store(self, entity: str, fields: Mapping[str, Any]) -> One:
        record_id = f"new{len(self._stored)}"
        self._stored[entity, record_id] = {**fields, "id": record_id}
        return self._one(entity, record_id)

    def _one(self, entity: str, record_id: str) -> One:
        number = int(record_id) if record_id.isdecimal() else 0
        record = self._stored.get((entity, record_id)) or _made_up(entity, number)
        return One(_REPLY, lambda _reply: dict(record))


def _ask(name: str) -> Talk[None]:
    order: Order = Call("GET", "/", name)
    yield order


def _made_up(entity: str, number: int) -> Record:
    return {
        "id": str(number),
        "name": f"{entity} number {number}",
        "email": f"{entity}{number}@rehearsal.example",
        "mobile": f"1990000{number:04d}",
        "stage": DEAL_STAGES[0],
    }
