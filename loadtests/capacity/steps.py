"""What one step of a search has shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Outcome(StrEnum):
    """Whether so many people met the objectives."""

    MET = "met"
    MISSED = "missed"
    FEW = "too few samples"
    INSTRUMENT = "instrument"


@dataclass(frozen=True, slots=True)
class Step:
    """So many people for so many seconds.

    ``throughput`` is requests a second that were answered; ``broken`` are the objectives missed,
    as (what gave way, the measure, its value over its limit); ``run`` is the load test's id.
    """

    users: int
    seconds: float
    outcome: Outcome
    reason: str = ""
    throughput: float | None = None
    p95: float | None = None
    broken: tuple[tuple[str, str, float | None], ...] = ()
    run: str = ""


Attempt: TypeAlias = Callable[[int, float], Step]
"""Puts so many people to work, with the judged time so many times as long as usual."""


def gave_way_first(steps: Sequence[Step]) -> tuple[int | None, list[str]]:
    """With how few people something broke, and what, the worst first; nothing if nothing did.

    The load generator counts only when the CRM never gave way before it.
    """
    for outcome in (Outcome.MISSED, Outcome.INSTRUMENT):
        broke = [step for step in steps if step.outcome is outcome]
        if broke:
            first = min(broke, key=lambda step: step.users)
            worst = sorted(first.broken, key=lambda each: -(each[2] or 0.0))
            what = dict.fromkeys(what for what, _, _ in worst)
            return first.users, list(what) or [Outcome.INSTRUMENT.value]
    return None, []
