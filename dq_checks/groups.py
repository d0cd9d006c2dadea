"""Scores by owner, team, region and source: the same sums, grouped before division."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dq_checks.messages import Count, Share
from dq_checks.scores import Result, by_dimension, score
from dq_checks.worklist import neutral

COLUMNS = ("by", "group", "dimension", "score", "elements", "bad")
GROUPINGS = ("owner", "team", "region", "source")
NOBODY = "(none)"


def groups_csv(results: Sequence[Result], shares: Sequence[Share]) -> str:
    """A line for each group and dimension, ``overall`` first; groups in order of their badness."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for by in GROUPINGS:
        groups = regroup(results, shares, by)
        if {*groups} <= {NOBODY}:
            continue
        worst = sorted(groups.items(), key=lambda each: (-_bad(each[1]), each[0]))
        for name, own in worst:
            for line in _lines(own):
                writer.writerow([by, neutral(name), *line])
    return out.getvalue()


def regroup(results: Sequence[Result], shares: Sequence[Share], by: str) -> dict[str, list[Result]]:
    """The results of each owner, team, region or source, summed over its shares."""
    sums: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for each in shares:
        found = sums[getattr(each, by) or NOBODY][each.rule]
        found[0] += each.checked
        found[1] += each.good
    whole = {each.rule.id: each for each in results}
    return {
        name: [
            replace(
                whole[rule],
                count=Count(rule=rule, status="counted", checked=checked, good=good),
            )
            for rule, (checked, good) in found.items()
        ]
        for name, found in sums.items()
    }


def read_groups(text: str, by: str) -> list[dict[str, str]]:
    """The ``overall`` lines of one grouping, the worst first."""
    rows = csv.DictReader(io.StringIO(text))
    return [each for each in rows if (each["by"], each["dimension"]) == (by, "overall")]


def _bad(results: Sequence[Result]) -> int:
    return sum(each.bad for each in results if each.scored)


def _lines(results: Sequence[Result]) -> Iterator[tuple[str, str, int, int]]:
    overall, elements = score(results)
    yield "overall", _shown(overall), elements, _bad(results)
    for name, (value, seen) in by_dimension(results).items():
        bad = _bad([each for each in results if each.rule.dimension == name])
        yield name, _shown(value), seen, bad


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
