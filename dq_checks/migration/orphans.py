"""Orphans: values of the target that point at nothing."""

from __future__ import annotations

from dataclasses import dataclass

from crmops.errors import CannotRun
from dq_checks.migration.compile import target_field
from dq_checks.migration.digest import View
from dq_checks.migration.plan import FieldSettings, Plan, Reference
from dq_checks.migration.sides import Place, open_side


@dataclass(frozen=True)
class Orphans:
    """Rows of the target whose value in a field exists nowhere, how many values, and some."""

    field: str
    rows: int
    values: int
    listed: tuple[str, ...]


def find_orphans(plan: Plan, target: View, here: Place) -> list[Orphans]:
    """The orphans of every reference.  Raises CannotRun."""
    return [_of(plan, each, target, here) for each in plan.references]


def _of(plan: Plan, reference: Reference, target: View, here: Place) -> Orphans:
    within = open_side(reference.within, "reference", "", here)
    if reference.column not in within.columns:
        raise CannotRun(
            f"the reference of {reference.field} has no column {reference.column!r}",
            hint=f"There are: {', '.join(within.columns)}.",
        )
    settings = next(each for each in plan.all_fields if each.name == reference.field)
    values = next(each for each in target.all_fields if each.name == reference.field).canonical
    target.side.into(
        "pointing",
        target.select(f"{values} AS v, count(*) AS n", f"{values} IS NOT NULL", " GROUP BY 1"),
        {"v": "VARCHAR", "n": "BIGINT"},
    )
    there = FieldSettings(name=reference.column, type=settings.type, scale=settings.scale)
    parent = View(within, (target_field(there, within.columns, within.dialect),), ())
    canonical = parent.key[0].canonical
    within.into("pointed", parent.select(f"DISTINCT {canonical} AS v"), {"v": "VARCHAR"})
    within.settle()
    cursor = here.scratch.database.cursor()
    lost = "FROM pointing ANTI JOIN pointed USING (v)"
    rows, number = cursor.execute(f"SELECT coalesce(sum(n), 0), count(*) {lost}").fetchone() or (
        0,
        0,
    )
    listed = cursor.execute(f"SELECT v {lost} ORDER BY 1 LIMIT {int(plan.listed)}").fetchall()
    return Orphans(reference.field, int(rows), int(number), tuple(each[0] for each in listed))
