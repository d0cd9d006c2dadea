"""Month end: the whole contact list is exported."""

from __future__ import annotations

from typing import cast

from crmops.connectors.base import Connector, Exports, Talk
from crmops.journeys._pick import expect
from crmops.journeys.base import Journey, Person
from crmops.wire import Step, Think


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end the export held at least as many rows as the first page of the list."""
    yield Step("list_contacts")
    page = yield from crm.list("contact", limit=50)
    listed = len(page.records)
    yield Think(10)
    yield Step("export")
    rows = yield from cast("Exports", crm).export("contact")
    expect(rows > 0, "the export is empty")
    expect(rows >= listed, lambda: f"the export has {rows} rows, one page of the list {listed}")
    yield Think(60)


JOURNEY = Journey(
    name="export",
    summary="export all contacts",
    steps=("list_contacts", "export"),
    walk=walk,
    roles=("manager", "integration"),
    needs=(Exports,),
    weight=0.2,
)
