"""What became of what a run has written: found out, cleaned up, said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from crmops.errors import CannotRun, UsageError
from crmops.execute import Execution
from crmops.record import Measure, Unit
from loadtests.assignment import Assignment
from loadtests.journal import read_journals
from loadtests.tidy import Cleaned, Reconciled, clean_up, logged_in, reconcile

NAME = "writes.json"
LOSS_ADVICE = "look for failed transactions and fail-overs of the CRM's database at that time"
NAMED = 20
"""How many records a finding names before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Writes:
    """What became of what the run has written; ``problem`` if that could not be found out."""

    reconciled: Reconciled
    cleaned: Cleaned | None
    problem: str = ""


def look_after_writes(assignment: Assignment, execution: Execution) -> Writes:
    """Compare the journal with the CRM, then clean up."""
    journal = read_journals(execution.folder)
    if not journal.entities and not journal.updates:
        return Writes(Reconciled(), Cleaned())
    try:
        with logged_in(assignment.target) as crm:
            found = reconcile(crm, journal, execution.id)
            if not assignment.settings.cleanup:
                return Writes(found, None)
            return Writes(found, clean_up(crm, journal, execution.id))
    except (CannotRun, UsageError) as error:
        made = Reconciled(acknowledged=len(journal.made))
        return Writes(made, None, error.message)


def data_measures(writes: Writes) -> Iterator[Measure]:
    """How much was created, lost and left behind; no value for what could not be found out."""
    found, cleaned = writes.reconciled, writes.cleaned
    made = found.acknowledged
    checked = made + found.updates
    lost = None if writes.problem else len(found.lost) + len(found.lost_updates)
    left = None if cleaned is None else len(cleaned.left)
    for name, value, observed in (
        ("data.created", made, made),
        ("data.lost", lost, checked),
        ("data.left", left, made),
    ):
        yield Measure(name=name, value=value, unit=Unit.COUNT, observed=observed)


def data_findings(execution: Execution, writes: Writes) -> None:
    """What a person must know about the data; every record that is named is in ``writes.json``."""
    found, cleaned = writes.reconciled, writes.cleaned
    if found.lost or found.lost_updates or found.extra:
        execution.attach(NAME, _as_json(writes))
    if found.lost:
        names = _named([f"{entity} {record_id}" for entity, record_id in found.lost])
        execution.finding(
            f"{len(found.lost)} acknowledged creates are not in the CRM", names, "critical", "data",
            suggestion=LOSS_ADVICE,
        )  # fmt: skip
    if found.lost_updates:
        names = _named([f"{entity} {one}: {field}" for entity, one, field in found.lost_updates])
        execution.finding(
            f"{len(found.lost_updates)} acknowledged updates do not hold",
            names, "critical", "data",
            suggestion=LOSS_ADVICE,
        )  # fmt: skip
    if found.extra:
        names = _named([f"{entity} {record_id}" for entity, record_id in found.extra])
        execution.finding(
            f"{len(found.extra)} records exist that no answer acknowledged",
            f"an answer was lost, or a create was carried out twice: {names}", "warning", "data",
            suggestion="see whether something between here and the CRM repeats requests",
        )  # fmt: skip
    if found.torn:
        execution.finding(
            f"{found.torn} lines of the journal are torn", "", "info", "data",
            suggestion="a generator was killed: `crmops load cleanup` goes by the mark as well",
        )  # fmt: skip
    _leak_findings(execution, writes, cleaned)


def _as_json(writes: Writes) -> str:
    """Ids and names of fields, never a value."""
    found = writes.reconciled
    lost = [{"entity": entity, "id": one} for entity, one in found.lost]
    undone = [
        {"entity": entity, "id": one, "field": name} for entity, one, name in found.lost_updates
    ]
    extra = [{"entity": entity, "id": one} for entity, one in found.extra]
    parts = {"lost_creates": lost, "lost_updates": undone, "unacknowledged": extra}
    return json.dumps({"acknowledged": found.acknowledged, **parts}, indent=1)


def _leak_findings(execution: Execution, writes: Writes, cleaned: Cleaned | None) -> None:
    way_out = f"`crmops load cleanup {execution.id}` takes them away"
    if writes.problem:
        execution.finding(
            "what was written is still there", writes.problem, "warning", "data",
            suggestion=way_out,
        )  # fmt: skip
    elif cleaned is None:
        made = writes.reconciled.acknowledged
        execution.finding(
            f"{made} created records were kept", "", "info", "data", suggestion=way_out
        )
    elif cleaned.left:
        names = _named([f"{entity} {record_id}" for entity, record_id in cleaned.left])
        execution.finding(
            f"{len(cleaned.left)} created records could not be deleted",
            names,
            "warning",
            "data",
            suggestion=way_out,
        )
    if cleaned and cleaned.foreign:
        names = _named([f"{entity} {record_id}" for entity, record_id in cleaned.foreign])
        execution.finding(
            f"{len(cleaned.foreign)} journalled records do not carry the mark of the run",
            f"left alone: {names}",
            "info",
            "data",
            suggestion="the CRM does not keep source_tag of these: look for them by their ids",
        )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more, all in {NAME}" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
