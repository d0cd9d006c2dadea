"""Monday morning: a manager reads the pipeline by stage and by owner, and drills into a stage."""

from __future__ import annotations

from typing import cast

from crmops.connectors.base import Connector, Record, Reports, Talk
from crmops.journeys._pick import expect
from crmops.journeys.base import Journey, Person
from crmops.wire import Step, Think


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end both reports had rows, each key once, and the biggest stage has deals in it.

    A person who sees no deals must see an empty report.
    """
    reports = cast("Reports", crm)
    yield Step("list_deals")
    deals = yield from crm.list("deal", limit=1)
    yield Step("by_stage")
    stages = yield from reports.pipeline("stage")
    if not deals.records and not stages:
        return  # a manager without deals has an empty report, and that is right
    _check(stages, "stage")
    yield Think(20)
    yield Step("by_owner")
    owners = yield from reports.pipeline("owner")
    _check(owners, "owner")
    yield Think(20)
    yield Step("drill_down")
    named = [row for row in stages if row.get("key")]
    expect(bool(named), "the pipeline has no stage with a name")
    biggest = max(named, key=lambda row: int(row["count"]))
    page = yield from crm.list("deal", limit=20, where={"stage": str(biggest["key"])})
    expect(bool(page.records), lambda: f"the report counts deals in {biggest['key']}, none listed")
    strays = [one["id"] for one in page.records if one.get("stage") != biggest["key"]]
    expect(not strays, lambda: f"deals of another stage in the list: {', '.join(strays)}")
    yield Think(30)


def _check(rows: list[Record], by: str) -> None:
    expect(bool(rows), f"the pipeline by {by} is empty")
    keys = [row.get("key") for row in rows]
    expect(len(set(keys)) == len(keys), f"the pipeline by {by} has a {by} twice")
    expect(
        all(isinstance(row.get("count"), int) and row["count"] >= 0 for row in rows),
        f"the pipeline by {by} has rows without a count",
    )


JOURNEY = Journey(
    name="manager_report",
    summary="read the pipeline by stage and by owner, and drill into a stage",
    steps=("list_deals", "by_stage", "by_owner", "drill_down"),
    walk=walk,
    roles=("manager",),
    needs=(Reports,),
    weight=2.0,
)
