"""Comparing two sides: ranges that differ, then their rows, then the fields of some of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from crmops.errors import CannotRun
from dq_checks.migration.compile import parse_serial
from dq_checks.migration.dialect import literal
from dq_checks.migration.digest import Digests, View, digest
from dq_checks.migration.scratch import Scratch

Answer = TypeVar("Answer")
_NAMED_FIELDS = 1_000
"""Different rows whose fields are named; the others are listed by key."""


@dataclass(frozen=True)
class Difference:
    """One key that differs: ``missing`` in the target, ``extra`` in it, or ``different``."""

    kind: str
    key: tuple[str | None, ...]
    rows: int
    fields: tuple[str, ...] = ()


@dataclass
class Comparison:
    """What came of a comparison.  Counts are exact; ``differences`` may be shortened."""

    source: Digests
    target: Digests
    missing: int = 0
    extra: int = 0
    different: int = 0
    duplicated: int = 0
    ranges_compared: int = 0
    ranges_different: int = 0
    differences: list[Difference] = field(default_factory=list)
    fields_compared: int = 0
    fields_different: Counter[str] = field(default_factory=Counter)


def both(views: Sequence[View], work: Callable[[View], Answer]) -> list[Answer]:
    """The same work on both sides at once; when one fails or we are stopped, both end."""
    with ThreadPoolExecutor(len(views), "side") as pool:
        futures = [pool.submit(work, each) for each in views]
        try:
            for each in futures:
                each.result()
        except BaseException:
            for view, future in zip(views, futures, strict=True):
                if not future.done():
                    view.side.cancel()
            raise
        return [each.result() for each in futures]


def compare(
    source: View, target: View, scratch: Scratch, *, listed: int, sample: int
) -> Comparison:
    """Compare all rows of two sides.  Raises CannotRun; then nothing of it is to be recorded."""
    views = (source, target)
    ours, theirs = both(views, lambda view: digest(view, scratch))
    made = Comparison(ours, theirs)
    names = sorted({*ours.ranges, *theirs.ranges})
    differing = [each for each in names if ours.ranges.get(each) != theirs.ranges.get(each)]
    made.ranges_compared, made.ranges_different = len(names), len(differing)
    if differing:
        _rows(made, views, scratch, differing, len(names), listed)
    _sample(made, views, scratch, [each for each in names if each not in set(differing)], sample)
    for view in views:
        view.side.settle()
    return made


def _rows(
    made: Comparison,
    views: tuple[View, View],
    scratch: Scratch,
    differing: Sequence[str],
    ranges: int,
    listed: int,
) -> None:
    """Key and digest of every row in the ranges that differ, joined on the key."""

    def fetch(view: View) -> None:
        inside = "" if len(differing) == ranges else f"{view.bucket} IN ({_list(differing)})"
        what = f"{view.key_text} AS k, {view.row_digest} AS h"
        view.side.into(
            f"rows_{view.side.label}", view.select(what, inside), {"k": "VARCHAR", "h": "BIGINT"}
        )

    both(views, fetch)
    cursor = scratch.database.cursor()
    cursor.execute(
        "CREATE OR REPLACE TABLE keys AS SELECT coalesce(s.k, t.k) AS k, "
        "coalesce(s.n, 0) AS sn, coalesce(t.n, 0) AS tn, s.h IS DISTINCT FROM t.h AS differs "
        "FROM (SELECT k, count(*) AS n, sum(h) AS h FROM rows_source GROUP BY k) AS s "
        "FULL JOIN (SELECT k, count(*) AS n, sum(h) AS h FROM rows_target GROUP BY k) AS t "
        "USING (k)"
    )
    cursor.execute(
        "SELECT coalesce(sum(greatest(sn - tn, 0)), 0), coalesce(sum(greatest(tn - sn, 0)), 0), "
        "coalesce(sum(CASE WHEN sn = tn AND differs THEN sn END), 0), "
        "count(CASE WHEN sn > 1 OR tn > 1 THEN 1 END) FROM keys"
    )
    row = cursor.fetchone() or (0, 0, 0, 0)
    made.missing, made.extra, made.different, made.duplicated = map(int, row)
    cursor.execute(
        "SELECT k, CASE WHEN sn > tn THEN 'missing' WHEN sn < tn THEN 'extra' "
        "ELSE 'different' END, CASE WHEN sn = tn THEN sn ELSE abs(sn - tn) END "
        "FROM keys WHERE differs OR sn <> tn ORDER BY 2, 1 LIMIT ?",
        [listed],
    )
    made.differences = [
        Difference(kind, tuple(parse_serial(key)), int(number))
        for key, kind, number in cursor.fetchall()
    ]


def _sample(
    made: Comparison, views: tuple[View, View], scratch: Scratch, equal: list[str], sample: int
) -> None:
    """Compare fields: of rows that differ, to name them; of rows that should not, to make sure."""
    each_holds = made.source.rows / max(len(made.source.ranges), 1)
    wanted = min(math.ceil(sample / max(each_holds, 1)), len(equal)) if sample else 0
    step = max(len(equal) // max(wanted, 1), 1)
    chosen = equal[::step][:wanted]
    keys = []
    if made.different:
        cursor = scratch.database.cursor()
        cursor.execute(
            "SELECT k FROM keys WHERE differs AND sn = 1 AND tn = 1 ORDER BY 1 LIMIT ?",
            [_NAMED_FIELDS],
        )
        keys = [row[0] for row in cursor.fetchall()]
    if not keys and not chosen:
        return
    names = [each.name for each in views[0].fields]
    _fetch_fields(views, keys, chosen)
    _compare_fields(made, scratch, names, set(keys))


def _fetch_fields(views: tuple[View, View], keys: Sequence[str], ranges: Sequence[str]) -> None:
    def fetch(view: View) -> None:
        conditions = []
        if ranges:
            conditions.append(f"{view.bucket} IN ({_list(ranges)})")
        if keys:
            conditions.append(f"{view.key_text} IN ({_list(keys)})")
        parts = [f"{view.key_text} AS k"]
        parts += [f"{each.canonical} AS f{at}" for at, each in enumerate(view.fields)]
        names = ["k", *(f"f{at}" for at in range(len(view.fields)))]
        select = view.select(", ".join(parts), " OR ".join(conditions))
        view.side.into(f"fields_{view.side.label}", select, dict.fromkeys(names, "VARCHAR"))

    both(views, fetch)


def _compare_fields(
    made: Comparison, scratch: Scratch, names: Sequence[str], keys: set[str]
) -> None:
    """Field by field where a key occurs once on either side."""
    differs = ", ".join(f"s.f{at} IS DISTINCT FROM t.f{at}" for at in range(len(names)))
    once = "SELECT * FROM {} QUALIFY count(*) OVER (PARTITION BY k) = 1"
    cursor = scratch.database.cursor()
    cursor.execute(
        f"SELECT s.k{', ' if differs else ''}{differs} "  # noqa: S608
        f"FROM ({once.format('fields_source')}) AS s "
        f"JOIN ({once.format('fields_target')}) AS t USING (k)"
    )
    named: dict[tuple[str | None, ...], tuple[str, ...]] = {}
    for key, *flags in cursor.fetchall():
        made.fields_compared += len(flags)
        bad = tuple(name for name, flag in zip(names, flags, strict=True) if flag)
        if bool(bad) != (key in keys):
            raise CannotRun("digests and fields disagree on a row", hint="Please report this.")
        made.fields_different.update(bad)
        named[tuple(parse_serial(key))] = bad
    made.differences = [
        Difference(each.kind, each.key, each.rows, named.get(each.key, ()))
        if each.kind == "different"
        else each
        for each in made.differences
    ]


def _list(values: Sequence[str]) -> str:
    return ", ".join(literal(each) for each in values)
