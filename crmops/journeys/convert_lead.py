"""A lead is ripe: it becomes an account, a contact and a deal."""

from __future__ import annotations

from typing import cast

from crmops.connectors.base import Connector, Converts, Talk
from crmops.journeys._pick import create, expect, expect_fields, made_up_lead, unique
from crmops.journeys.base import Journey, Person
from crmops.wire import Step, Think

_MADE = ("account", "contact", "deal")


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end account, contact and deal exist, joined to each other, and the lead is closed."""
    yield Step("create_lead")
    fields = made_up_lead(person)
    lead = yield from create(crm, person, "lead", fields)
    yield Think(20)
    yield Step("convert")
    wanted = {"name": f"Rehearsal {unique(person)}", "amount": 1000 * person.rng.randrange(1, 500)}
    ids = yield from cast("Converts", crm).convert_lead(lead.id, wanted)
    person.created.extend((entity, ids[entity]) for entity in _MADE if entity in ids)
    missing = [entity for entity in _MADE if entity not in ids]
    expect(not missing, lambda: f"converting lead {lead.id} made no {', '.join(missing)}")
    yield Think(5)
    yield Step("confirm")
    deal = yield from crm.get("deal", ids["deal"])
    expect_fields(deal, {**wanted, "account_id": ids["account"]}, "deal")
    contact = yield from crm.get("contact", ids["contact"])
    expect_fields(contact, {"name": fields["name"], "account_id": ids["account"]}, "contact")
    closed = yield from crm.get("lead", lead.id)
    expect_fields(closed, {"status": "converted"}, "lead")
    yield Think(10)


JOURNEY = Journey(
    name="convert_lead",
    summary="turn a lead into an account, a contact and a deal",
    steps=("create_lead", "convert", "confirm"),
    walk=walk,
    roles=("rep",),
    needs=(Converts,),
    writes=True,
    weight=1.0,
)
