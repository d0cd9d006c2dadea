"""What is kept of a comparison: keys, counts and sums; never the contents of a record."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dq_checks.migration.compare import Comparison
from dq_checks.migration.digest import Profile
from dq_checks.migration.plan import Plan

if TYPE_CHECKING:
    from dq_checks.migration.orphans import Orphans

BOM = "\ufeff"
"""Tells a spreadsheet that a CSV file is UTF-8."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def neutral(value: str) -> str:
    """The value such that no spreadsheet takes it for a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def sheet(rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV that a spreadsheet opens as it is meant: UTF-8 with BOM, formulas neutral."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for row in rows:
        writer.writerow(["" if each is None else neutral(str(each)) for each in row])
    return BOM + out.getvalue()


def differences(plan: Plan, found: Comparison, orphans: Sequence[Orphans]) -> str:
    """differences.csv: what is wrong, the key, how many rows, which fields."""
    keys = [each.name for each in plan.key]
    rows: list[list[object]] = [["difference", *keys, "rows", "fields"]]
    rows += [[each.kind, *each.key, each.rows, " ".join(each.fields)] for each in found.differences]
    for each in orphans:
        rows += [
            [f"orphaned {each.field}={value}", *[""] * len(keys), "", each.field]
            for value in each.listed
        ]
    return sheet(rows)


def document(
    plan: Plan,
    batch: str,
    found: Comparison,
    orphans: Sequence[Orphans],
    unmapped: dict[str, list[str]],
) -> str:
    """comparison.json: everything that the verdict rests on."""
    listed = found.missing + found.extra + found.different
    return json.dumps(
        {
            "schema": 1,
            "plan": plan.name,
            "batch": batch,
            "rows": {"source": found.source.rows, "target": found.target.rows},
            "digest": {"source": found.source.whole, "target": found.target.whole},
            "ranges": {"compared": found.ranges_compared, "different": found.ranges_different},
            "missing": found.missing,
            "extra": found.extra,
            "different": found.different,
            "keys_duplicated_in_differing_ranges": found.duplicated,
            "list_shortened": listed > sum(each.rows for each in found.differences),
            "columns_unmapped": unmapped,
            "orphans": [
                {"field": each.field, "rows": each.rows, "values": each.values} for each in orphans
            ],
            "sampled": {
                "fields_compared": found.fields_compared,
                "fields_different": dict(found.fields_different),
            },
            "fields": [_field(each.name, each.type, found) for each in plan.all_fields],
        },
        ensure_ascii=False,
        indent=1,
    )


def _field(name: str, kind: str, found: Comparison) -> dict[str, Any]:
    """Counts of both sides; sums only of numbers, ends of moments only as equal or not."""
    sides = {"source": found.source.profiles[name], "target": found.target.profiles[name]}
    made: dict[str, Any] = {"name": name, "type": kind}
    for label, each in sides.items():
        made[label] = _counts(each, numeric=kind in ("integer", "decimal"))
    ours, theirs = sides.values()
    made["ends_equal"] = (ours.least, ours.most) == (theirs.least, theirs.most)
    return made


def _counts(profile: Profile, *, numeric: bool) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "nulls": profile.nulls,
        "unmapped": profile.unmapped,
        "unreadable": profile.unreadable,
    }
    if numeric:
        counts["sum"] = None if profile.total is None else str(profile.total)
    return counts
