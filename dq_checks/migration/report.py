"""What a Run says about a comparison: measures and findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crmops.execute import Execution
from crmops.record import Unit
from dq_checks.migration.compare import Comparison
from dq_checks.migration.digest import Digests
from dq_checks.migration.orphans import Orphans


def measure(
    execution: Execution,
    found: Comparison,
    orphans: Sequence[Orphans],
    unmapped: Mapping[str, Sequence[str]],
) -> None:
    """Put the counts into the Run; ``observed`` is the larger side, so that nothing is no pass."""
    sent, arrived = found.source.rows, found.target.rows
    values = sum(each.unmapped for each in found.source.profiles.values())
    values += sum(each.unmapped for each in found.target.profiles.values())
    columns = sum(map(len, unmapped.values()))
    either = max(sent, arrived)
    for name, value, observed in (
        ("rows.source", sent, sent),
        ("rows.target", arrived, arrived),
        ("rows.missing", found.missing, either),
        ("rows.extra", found.extra, either),
        ("rows.different", found.different, either),
        ("rows.duplicated", found.duplicated, either),
        ("columns.unmapped", columns, either),
        ("values.unmapped", values, either),
        ("rows.orphaned", sum(each.rows for each in orphans), arrived),
        ("fields.compared", found.fields_compared, found.fields_compared),
    ):
        execution.measure(name, value, Unit.COUNT, observed)


def report(
    execution: Execution,
    batch: str,
    found: Comparison,
    orphans: Sequence[Orphans],
    unmapped: Mapping[str, Sequence[str]],
) -> None:
    """Put what a person must act on into the Run: counts and names of fields, no contents."""
    for number, text in (
        (found.missing, "rows that did not arrive"),
        (found.extra, "rows that were never sent"),
        (found.different, "rows that arrived changed"),
    ):
        if number:
            detail = "differences.csv lists their keys"
            execution.finding(f"{text}: {number}", detail, "critical", batch)
    for name, times in found.fields_different.most_common(20):
        execution.finding(f"field {name} differs", f"in {times} of the rows looked at")
    for side, names in unmapped.items():
        if names:
            execution.finding(f"columns of the {side} in no field", ", ".join(names[:40]))
    _report_values(execution, "source", found.source)
    _report_values(execution, "target", found.target)
    for each in orphans:
        if each.rows:
            detail = f"{each.rows} rows of the target, {each.values} values"
            execution.finding(f"field {each.field} points at nothing", detail, "critical")
    if found.duplicated:
        execution.finding("keys occur more than once", f"{found.duplicated} keys")


def _report_values(execution: Execution, label: str, found: Digests) -> None:
    for name, profile in found.profiles.items():
        if profile.unmapped:
            title = f"field {name} has values that its map lacks"
            execution.finding(title, f"{profile.unmapped} times in the {label}")
        if profile.unreadable:
            title = f"field {name} has values that are not of its type"
            execution.finding(title, f"{profile.unreadable} times in the {label}")
