"""A customer complains: a case is opened, worked on and closed."""

from __future__ import annotations

from typing import Any

from crmops.connectors.base import Connector, Talk
from crmops.journeys._pick import create, expect_fields, pick, unique
from crmops.journeys.base import Journey, Person
from crmops.wire import Step, Think


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end the case is closed, with the priority that it was given on the way."""
    yield Step("list_contacts")
    page = yield from crm.list("contact", limit=20)
    contact = pick(page.records, person)
    yield Think(10)
    yield Step("open_case")
    fields: dict[str, Any] = {
        "subject": f"Rehearsal {unique(person)}",
        "status": "open",
        "priority": "normal",
    }
    if contact is not None:
        fields["contact_id"] = contact["id"]
    case = yield from create(crm, person, "case", fields)
    yield Think(30)
    yield Step("update_case")
    yield from crm.update("case", case.id, {"status": "pending", "priority": "high"})
    yield Think(30)
    yield Step("close_case")
    yield from crm.update("case", case.id, {"status": "closed"})
    yield Step("confirm")
    stored = yield from crm.get("case", case.id)
    expect_fields(stored, {**fields, "status": "closed", "priority": "high"}, "case")
    yield Think(5)


JOURNEY = Journey(
    name="case_lifecycle",
    summary="open a case, work on it and close it",
    steps=("list_contacts", "open_case", "update_case", "close_case", "confirm"),
    walk=walk,
    roles=("rep",),
    writes=True,
    weight=2.0,
)
