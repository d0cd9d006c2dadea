"""Comparing two sides: ranges that differ, then their rows, then the fields of some of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

from crmops.errors import CannotRun
from dq_checks.migration.compile import parse_serial
from dq_checks.migration.dialect import literal
from dq_checks.migration.digest import Digests, View, digest
from dq_checks.migration.scratch import Scratch

Answer = TypeVar("Answer")
_AT_ONCE = 250_000
"""Rows of both sides whose fields are fetched together with their digests."""

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
            wait(futures, return_when=FIRST_EXCEPTION)
            for each in futures:
                if each.done():
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
    sampled = _chosen(ours, [each for each in names if each not in set(differing)], sample)
    if differing or sampled:
        _look_inside(made, views, scratch, differing, sampled, listed)
    for view in views:
        view.side.settle()
    return made


def _chosen(ours: Digests, equal: list[str], sample: int) -> list[str]:
    """Ranges that hold about as many rows as are to be sampled, spread evenly."""
    each_holds = ours.rows / max(len(ours.ranges), 1)
    wanted = min(math.ceil(sample / max(each_holds, 1)), len(equal))
    return equal[:: max(len(equal) // wanted, 1)][:wanted] if wanted else []


def _look_inside(
    made: Comparison,
    views: tuple[View, View],
    scratch: Scratch,
    differing: Sequence[str],
    sampled: Sequence[str],
    listed: int,
) -> None:
    """Rows of the ranges that differ, then fields: in the same scan where they are few."""
    expected = sum(
        each.ranges.get(name, (0, 0))[0]
        for each in (made.source, made.target)
        for name in (*differing, *sampled)
    )
    at_once = expected <= _AT_ONCE
    ranges = (*differing, *sampled) if at_once else differing
    _fetch(views, "rows", ranges, fields=at_once)
    _join(made, views, scratch, listed)
    keys = _different_keys(scratch) if made.different else []
    if not at_once and (keys or sampled):
        _fetch(views, "fields", sampled, keys, fields=True)
    if at_once or keys or sampled:
        _compare_fields(made, views, scratch, "rows" if at_once else "fields", set(keys))


def _fetch(
    views: tuple[View, View],
    table: str,
    ranges: Sequence[str],
    keys: Sequence[str] = (),
    *,
    fields: bool,
) -> None:
    """Key, digest and, if wished, fields of the rows in some ranges or with some keys."""

    def fetch(view: View) -> None:
        conditions = [f"{view.bucket} IN ({_list(ranges)})"] if ranges else []
        conditions += [f"{view.key_text} IN ({_list(keys)})"] if keys else []
        parts = [f"{view.key_text} AS k", f"{view.row_digest} AS h"]
        columns = {"k": "VARCHAR", "h": "BIGINT"}
        for at, each in enumerate(view.fields if fields else ()):
            parts.append(f"{each.canonical} AS f{at}")
            columns[f"f{at}"] = "VARCHAR"
        select = view.select(", ".join(parts), " OR ".join(conditions))
        view.side.into(f"{table}_{view.side.label}", select, columns)

    both(views, fetch)


def _join(made: Comparison, views: tuple[View, View], scratch: Scratch, listed: int) -> None:
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
    kinds = _kinds(views[0])
    made.differences = [
        Difference(kind, parse_serial(key, kinds), int(number))
        for key, kind, number in cursor.fetchall()
    ]


def _kinds(view: View) -> list[str]:
    return [each.kind for each in view.key]


def _different_keys(scratch: Scratch) -> list[str]:
    cursor = scratch.database.cursor()
    cursor.execute(
        "SELECT k FROM keys WHERE differs AND sn = 1 AND tn = 1 ORDER BY 1 LIMIT ?",
        [_NAMED_FIELDS],
    )
    return [row[0] for row in cursor.fetchall()]


def _compare_fields(
    made: Comparison, views: tuple[View, View], scratch: Scratch, table: str, keys: set[str]
) -> None:
    """Field by field where a key occurs once on either side.

    Of rows that differ, to name the fields; of rows that should not, to prove the digests.
    """
    names = [each.name for each in views[0].fields]
    differs = "".join(f", s.f{at} IS DISTINCT FROM t.f{at}" for at in range(len(names)))
    once = "SELECT * FROM {} QUALIFY count(*) OVER (PARTITION BY k) = 1"
    cursor = scratch.database.cursor()
    cursor.execute(
        f"SELECT k, s.h IS DISTINCT FROM t.h{differs} "  # noqa: S608
        f"FROM ({once.format(f'{table}_source')}) AS s "
        f"JOIN ({once.format(f'{table}_target')}) AS t USING (k)"
    )
    named: dict[tuple[str | None, ...], tuple[str, ...]] = {}
    kinds = _kinds(views[0])
    for key, differ, *flags in cursor.fetchall():
        made.fields_compared += len(flags)
        bad = tuple(name for name, flag in zip(names, flags, strict=True) if flag)
        if bool(bad) != differ:
            raise CannotRun("digests and fields disagree on a row", hint="Please report this.")
        if key in keys:
            made.fields_different.update(bad)
            named[parse_serial(key, kinds)] = bad
    made.differences = [
        Difference(each.kind, each.key, each.rows, named.get(each.key, ()))
        if each.kind == "different"
        else each
        for each in made.differences
    ]


def _list(values: Sequence[str]) -> str:
    return ", ".join(literal(each) for each in values)
