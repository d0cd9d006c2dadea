"""Somebody writes in who is known already: the CRM warns of a duplicate, the rep decides."""

from __future__ import annotations

import re
from typing import Any

from crmops.connectors.base import Connector, One, Record, Talk
from crmops.journeys._pick import create, expect_fields, made_up_lead, pick
from crmops.journeys.base import Journey, Person
from crmops.outcome import CallFailed, Outcome
from crmops.wire import Step, Think

_FORMS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+\Z", re.ASCII),
    "mobile": re.compile(r"\+?[0-9][0-9 -]{6,18}\Z"),
}


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end there is a new lead, stored as it was entered.

    A conflict at the first attempt is what a CRM with duplicate rules ought to say, no failure;
    a conflict at the second attempt is one.
    """
    yield Step("look_up")
    page = yield from crm.list("lead", limit=20)
    known = pick((one for one in page.records if _reachable(one)), person)
    fields = made_up_lead(person) | (_reachable(known) if known else {})
    yield Think(30)
    yield Step("create")
    lead = yield from _first_attempt(crm, person, fields)
    if lead is None:
        yield Think(6)
        yield Step("decide")
        lead = yield from _second_attempt(crm, person, fields)
    yield Step("confirm")
    stored = yield from crm.get("lead", lead.id)
    expect_fields(stored, {name: fields[name] for name in ("name", "email")}, "lead")
    yield Think(5)


def _reachable(record: Record) -> dict[str, Any]:
    """The well-formed address and number of a lead: a CRM refuses others for a better reason."""
    return {
        name: record[name] for name, form in _FORMS.items() if form.match(str(record.get(name)))
    }


def _first_attempt(crm: Connector, person: Person, fields: dict[str, Any]) -> Talk[One | None]:
    try:
        return (yield from create(crm, person, "lead", fields))
    except CallFailed as problem:
        if problem.outcome is not Outcome.CONFLICT:
            raise
        return None


def _second_attempt(crm: Connector, person: Person, fields: dict[str, Any]) -> Talk[One]:
    """Half the people insist, the others enter another address and number."""
    if person.rng.random() < 0.5:
        return (yield from create(crm, person, "lead", fields, allow_duplicate=True))
    fresh = made_up_lead(person)
    fields |= {"email": fresh["email"], "mobile": fresh["mobile"]}
    return (yield from create(crm, person, "lead", fields))


JOURNEY = Journey(
    name="create_lead",
    summary="create a lead who may be known already, past the duplicate warning",
    steps=("look_up", "create", "decide", "confirm"),
    walk=walk,
    roles=("rep",),
    writes=True,
    weight=2.0,
)
