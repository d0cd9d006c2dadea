"""Scores: sums before division, so that they can be regrouped; no elements, no score.

Every rule counts B elements, A of them good (GB/T 36344-2018: X = A / B).  A score over several
rules is the sum of weight x A over the sum of weight x B.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crmops.record import Measure, Unit
from dq_checks.messages import Count
from dq_checks.suite import Rule


@dataclass(frozen=True, slots=True)
class Result:
    """One rule with what it found."""

    rule: Rule
    count: Count

    @property
    def status(self) -> str:
        """``good``, ``failed``, ``unknown`` (saw no elements) or ``error`` (could not run)."""
        if self.count.status == "error":
            return "error"
        if self.count.checked == 0:
            return "unknown"
        return "good" if self.score_or_zero >= self.rule.threshold else "failed"

    @property
    def score(self) -> float | None:
        """A / B; None when it saw nothing or could not run."""
        return self.score_or_zero if self.scored else None

    @property
    def score_or_zero(self) -> float:
        """A / B, and 0 without elements; only for comparing."""
        return self.count.good / self.count.checked if self.count.checked else 0.0

    @property
    def bad(self) -> int:
        """Elements that break the rule."""
        return self.count.checked - self.count.good

    @property
    def scored(self) -> bool:
        """Whether it counts for a score."""
        return self.count.status == "counted" and self.count.checked > 0


def pair(rules: Sequence[Rule], counts: Iterable[Count]) -> list[Result]:
    """Each rule with its count, in the order of the suite; a rule without one is left out."""
    found = {each.rule: each for each in counts}
    return [Result(rule, found[rule.id]) for rule in rules if rule.id in found]


def score(results: Iterable[Result]) -> tuple[float | None, int]:
    """The weighted score of some rules and the number of elements that it rests on."""
    scored = [each for each in results if each.scored]
    elements = sum(each.count.checked for each in scored)
    weighed = sum(each.rule.weight * each.count.checked for each in scored)
    if not weighed:
        return None, 0
    return sum(each.rule.weight * each.count.good for each in scored) / weighed, elements


def by_dimension(results: Sequence[Result]) -> dict[str, tuple[float | None, int]]:
    """The score of each dimension that has a rule here."""
    dimensions = dict.fromkeys(each.rule.dimension for each in results)
    return {
        name: score(each for each in results if each.rule.dimension == name)
        for name in sorted(dimensions)
    }


def measures(rows: int, results: Sequence[Result]) -> list[Measure]:
    """Everything an audit measures; the names are listed in docs/data-quality.md."""
    value, elements = score(results)
    found = [
        Measure(name="score", value=value, unit=Unit.RATIO, observed=elements),
        Measure(name="rows", value=rows, unit=Unit.COUNT, observed=rows),
    ]
    for name, (share, seen) in by_dimension(results).items():
        found.append(Measure(name=f"score{{{name}}}", value=share, unit=Unit.RATIO, observed=seen))
    for status in ("failed", "error", "unknown"):
        number = sum(each.status == status for each in results)
        found.append(
            Measure(name=f"rules.{status}", value=number, unit=Unit.COUNT, observed=len(results))
        )
    for each in results:
        found += _of_rule(each)
    return found


def _of_rule(result: Result) -> list[Measure]:
    seen = result.count.checked if result.scored else 0
    bad = result.bad if result.scored else None
    name = result.rule.id
    return [
        Measure(name=f"rule.bad{{{name}}}", value=bad, unit=Unit.COUNT, observed=seen),
        Measure(name=f"rule.score{{{name}}}", value=result.score, unit=Unit.RATIO, observed=seen),
    ]
