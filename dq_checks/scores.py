"""Scores: sums before division, so that they can be regrouped; no elements, no score.

Every rule counts B elements, A of them good (GB/T 36344-2018: X = A / B).  A score over several
rules is the sum of weight x A over the sum of weight x B; a rule that looked at a sample stands
for as many elements as the sample does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crmops.record import Measure, Unit
from dq_checks.confidence import wilson
from dq_checks.messages import Count
from dq_checks.suite import Rule
from dq_checks.waivers import Waiver


@dataclass(frozen=True, slots=True)
class Result:
    """One rule with what it found, and the waiver that takes it out of the score, if any."""

    rule: Rule
    count: Count
    waiver: Waiver | None = None

    @property
    def status(self) -> str:
        """``good``, ``failed``, ``unknown`` (saw no elements, or too small a sample to tell),
        ``error`` (could not run) or ``waived``."""
        if self.waiver is not None:
            return "waived"
        if self.count.status == "error":
            return "error"
        if self.count.status == "unknown" or self.count.checked == 0 or self.unclear:
            return "unknown"
        return "good" if self.score_or_zero >= self.rule.threshold else "failed"

    @property
    def score(self) -> float | None:
        """A / B; None when it saw nothing or could not run."""
        return self.score_or_zero if self.counted else None

    @property
    def score_or_zero(self) -> float:
        """A / B, and 0 without elements; only for comparing."""
        return self.count.good / self.count.checked if self.count.checked else 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the share of a sampled rule lies with 95 % confidence; None for other rules."""
        if self.rule.sample is None or not self.counted:
            return None
        return wilson(self.count.good, self.count.checked)

    @property
    def unclear(self) -> bool:
        """Whether the sample is too small to tell on which side of the threshold the rule is."""
        found = self.interval
        return found is not None and found[0] < self.rule.threshold <= found[1]

    @property
    def bad(self) -> int:
        """Elements that break the rule."""
        return self.count.checked - self.count.good

    @property
    def counted(self) -> bool:
        """Whether it saw anything."""
        return self.count.status == "counted" and self.count.checked > 0

    @property
    def scored(self) -> bool:
        """Whether it counts for a score."""
        return self.counted and self.waiver is None

    @property
    def weight(self) -> float:
        """What one element weighs in a score."""
        return self.rule.weight / (self.rule.sample or 1.0)


def pair(
    rules: Sequence[Rule], counts: Iterable[Count], waived: dict[str, Waiver] | None = None
) -> list[Result]:
    """Each rule with its count, in the order of the suite; a rule without one is left out."""
    found = {each.rule: each for each in counts}
    waivers = waived or {}
    return [
        Result(rule, found[rule.id], waivers.get(rule.id)) for rule in rules if rule.id in found
    ]


def score(results: Iterable[Result]) -> tuple[float | None, int]:
    """The weighted score of some rules and the number of elements that it rests on."""
    scored = [each for each in results if each.scored]
    elements = sum(each.count.checked for each in scored)
    weighed = sum(each.weight * each.count.checked for each in scored)
    if not weighed:
        return None, 0
    return sum(each.weight * each.count.good for each in scored) / weighed, elements


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
    for status in ("failed", "error", "unknown", "waived"):
        number = sum(each.status == status for each in results)
        found.append(
            Measure(name=f"rules.{status}", value=number, unit=Unit.COUNT, observed=len(results))
        )
    waived = sum(each.count.waived for each in results)
    found.append(
        Measure(name="elements.waived", value=waived, unit=Unit.COUNT, observed=elements + waived)
    )
    for each in results:
        found += _of_rule(each)
    return found


def _of_rule(result: Result) -> list[Measure]:
    seen = result.count.checked if result.counted else 0
    bad = result.bad if result.counted else None
    name = result.rule.id
    found = [
        Measure(name=f"rule.bad{{{name}}}", value=bad, unit=Unit.COUNT, observed=seen),
        Measure(name=f"rule.score{{{name}}}", value=result.score, unit=Unit.RATIO, observed=seen),
    ]
    if result.rule.sample is not None:
        ends = result.interval or (None, None)
        found += [
            Measure(name=f"rule.score.{end}{{{name}}}", value=at, unit=Unit.RATIO, observed=seen)
            for end, at in zip(("low", "high"), ends, strict=True)
        ]
    return found
