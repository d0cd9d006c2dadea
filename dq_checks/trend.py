"""Whether a suite's score fell: this audit against the median of those before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from crmops.history import History
from crmops.record import Kind, Measure, Run, Unit

RUNS = 7
"""So many audits are the past that a score is held against."""

FEWEST = 3
"""With fewer of them there is no drop to be measured."""

_LOOK_BACK = 40
_RULE = "rule.score{"


def drop(history: History, run: Run, measures: Sequence[Measure]) -> Measure:
    """``score.drop``: how far the score lies below the median of the last seven; negative: above.

    Only ended audits of the same suite with the same rules that have a score count.  Without a
    score, or with fewer than three to hold it against, the measure has no value.
    """
    past = earlier(history, run, _rules(measures))
    now = next((each.value for each in measures if each.name == "score"), None)
    enough = now is not None and len(past) >= FEWEST
    value = median(past) - now if enough and now is not None else None
    return Measure(name="score.drop", value=value, unit=Unit.RATIO, observed=len(past))


def earlier(history: History, run: Run, rules: frozenset[str]) -> list[float]:
    """The scores of the newest audits with the same rules, newest first."""
    found = history.find(Kind.DQ, run.target, run.subject, finished=True, limit=_LOOK_BACK)
    scores = [
        score.value
        for each in found
        if each.id != run.id
        and (score := each.measure("score")) is not None
        and score.value is not None
        and _rules(each.measures) == rules
    ]
    return scores[:RUNS]


def _rules(measures: Iterable[Measure]) -> frozenset[str]:
    return frozenset(each.name for each in measures if each.name.startswith(_RULE))
