"""A rep looks around: lists deals, accounts and contacts, and opens one of each."""

from __future__ import annotations

from crmops.connectors.base import Connector, Talk
from crmops.journeys._pick import expect, look_over, pick
from crmops.journeys.base import Journey, Person
from crmops.model import PLURALS
from crmops.wire import Step, Think

_SEEN = ("deal", "account", "contact")


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end at least one record was opened, and each was the one that was chosen."""
    opened = 0
    for entity in _SEEN:
        opened += yield from _look(crm, person, entity)
    expect(opened > 0, "there was nothing to open: no deals, no accounts, no contacts")


def _look(crm: Connector, person: Person, entity: str) -> Talk[int]:
    yield Step(f"list_{PLURALS[entity]}")
    page = yield from look_over(crm, person, entity)
    chosen = pick(page.records, person)
    if chosen is None:
        return 0
    yield Think(8)
    yield Step(f"open_{entity}")
    one = yield from crm.get(entity, chosen["id"])
    expect(one.id == chosen["id"], lambda: f"asked for {entity} {chosen['id']}, got {one.id}")
    yield Think(20)
    return 1


JOURNEY = Journey(
    name="browse_open",
    summary="list deals, accounts and contacts, and open one of each",
    steps=tuple(step for one in _SEEN for step in (f"list_{PLURALS[one]}", f"open_{one}")),
    walk=walk,
    roles=("rep", "manager"),
    weight=6.0,
)
