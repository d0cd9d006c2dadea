"""Somebody has a list in a spreadsheet, from a fair or a partner, and imports it."""

from __future__ import annotations

from typing import Any, cast

from crmops.connectors.base import Connector, Imports, Talk
from crmops.journeys._pick import expect, expect_fields, made_up_lead
from crmops.journeys.base import Journey, Person
from crmops.wire import Step, Think

SPREAD = 0.6
"""Sigma of the lognormal length of a list around its median: most are short, some are long."""

LONGEST = 2_000
"""Rows that a person puts into one list at most."""

UNFIT = 0.02
"""Share of rows whose e-mail address is none, as in lists that people typed."""


def walk(crm: Connector, person: Person) -> Talk[None]:
    """In the end every row is imported or refused, and an imported one is stored as it was sent."""
    yield Step("look_over")
    yield from crm.list("lead", limit=20)
    rows = [_row(person) for _ in range(_length(person))]
    yield Think(60)
    yield Step("import")
    report = yield from cast("Imports", crm).bulk_import("lead", rows)
    person.created.extend(("lead", each) for each in report.ids)
    refused = {row for row, _, _ in report.rejected}
    expect(
        report.imported == len(report.ids) and report.imported + len(refused) == len(rows),
        lambda: f"of {len(rows)} rows {report.imported} were imported and {len(refused)} refused",
    )
    yield Think(20)
    yield Step("confirm")
    taken = [row for number, row in enumerate(rows, start=1) if number not in refused]
    if taken:
        at = person.rng.randrange(len(taken))
        stored = yield from crm.get("lead", report.ids[at])
        expect_fields(stored, {name: taken[at][name] for name in ("name", "email")}, "lead")
    yield Think(5)


def _length(person: Person) -> int:
    drawn = person.habits.batch * person.rng.lognormvariate(0.0, SPREAD)
    return max(1, min(round(drawn), LONGEST))


def _row(person: Person) -> dict[str, Any]:
    lead = made_up_lead(person)
    if person.rng.random() < UNFIT:
        lead["email"] = "none yet"
    return lead


JOURNEY = Journey(
    name="import_list",
    summary="import a list of leads from a spreadsheet; every row is taken or refused",
    steps=("look_over", "import", "confirm"),
    walk=walk,
    roles=("integration",),
    needs=(Imports,),
    writes=True,
)
