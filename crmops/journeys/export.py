"""Month end: the whole list of contacts is exported."""

from __future__ import annotations

from typing import cast

from crmops.connectors.base import Connector, Exports, Talk
from crmops.journeys._pick import expect
from crmops.journeys.base import Journey, Person
from crmops.wire import Step, Think


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end the export held at least as many rows as the first page of the list.

    Of contacts, or where the person sees none, of accounts.
    """
    entity, listed = "contact", 0
    for entity in ("contact", "account"):
        yield Step(f"list_{entity}s")
        page = yield from crm.list(entity, limit=50)
        listed = len(page.records)
        if listed:
            break
    expect(listed > 0, "there was nothing to export: no contacts, no accounts")
    yield Think(10)
    yield Step("export")
    rows = yield from cast("Exports", crm).export(entity)
    expect(rows >= listed, lambda: f"the export has {rows} rows, one page of the list {listed}")
    yield Think(60)


JOURNEY = Journey(
    name="export",
    summary="export all contacts (where there is none, all accounts)",
    steps=("list_contacts", "list_accounts", "export"),
    walk=walk,
    roles=("manager", "integration"),
    needs=(Exports,),
    weight=0.2,
)
