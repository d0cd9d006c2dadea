"""A deal makes its way: a rep opens one of their own making and moves it on, twice."""

from __future__ import annotations

from typing import Any

from crmops.connectors.base import Connector, Talk
from crmops.journeys._pick import create, expect_fields, pick, unique
from crmops.journeys.base import Journey, Person
from crmops.model import DEAL_STAGES
from crmops.wire import Step, Think


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end the deal stands where it was moved to.

    It is a new deal, never somebody's real one: the journey also runs as a probe in production.
    """
    yield Step("list_accounts")
    page = yield from crm.list("account", limit=20)
    account = pick(page.records, person)
    yield Think(5)
    yield Step("create_deal")
    fields: dict[str, Any] = {
        "name": f"Rehearsal {unique(person)}",
        "stage": DEAL_STAGES[0],
        "amount": 1000 * person.rng.randrange(1, 500),
        "currency": "CNY",
    }
    if account is not None:
        fields["account_id"] = account["id"]
    deal = yield from create(crm, person, "deal", fields)
    for stage in DEAL_STAGES[1:3]:
        yield Think(20)
        yield Step("move")
        yield from crm.update("deal", deal.id, {"stage": stage})
    yield Step("confirm")
    stored = yield from crm.get("deal", deal.id)
    expect_fields(stored, {**fields, "stage": DEAL_STAGES[2]}, "deal")
    yield Think(10)


JOURNEY = Journey(
    name="move_deal",
    summary="open a deal and move it through two stages",
    steps=("list_accounts", "create_deal", "move", "confirm"),
    walk=walk,
    roles=("rep",),
    writes=True,
    weight=3.0,
)
