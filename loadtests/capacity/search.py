"""Searches the highest number of people that meets the objectives.

First the number is doubled until the objectives are missed (or halved until they are met), then
each step asks at the median of what is known (see :mod:`loadtests.capacity.posterior`), which is
bisection that survives a wrong answer and repeats itself near the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from loadtests.capacity.posterior import Posterior
from loadtests.capacity.steps import Attempt, Outcome, Step

LONGEST = 8.0
"""How many times as long as usual a step may become for want of samples."""

AGREED = 2
"""Steps with the most people allowed that must meet the objectives before we say so."""

TROUBLES = 2
"""Steps one after another in which the load generator could not be trusted, until it is its own
limit that we have found: one may be a neighbour's doing."""


class Ended(StrEnum):
    """Why a search is over."""

    FOUND = "found"
    MOST = "as many as are allowed"
    NONE = "nobody"
    INSTRUMENT = "instrument"
    FEW = "too few samples"
    STEPS = "too many steps"


@dataclass(frozen=True, slots=True)
class Rules:
    """Where to begin and when to end: ``tolerance`` is half the interval over the capacity."""

    start: int = 10
    most: int = 1000
    tolerance: float = 0.05
    steps: int = 24


@dataclass(slots=True)
class Search:
    """A search with all its steps; the estimate is what they say together."""

    attempt: Attempt
    rules: Rules
    told: Callable[[Step], None] = lambda _step: None
    steps: list[Step] = field(default_factory=list)
    ended: Ended | None = None
    posterior: Posterior = field(init=False)
    _stretch: float = 1.0

    def __post_init__(self) -> None:
        self.posterior = Posterior(self.rules.most)

    def run(self) -> Ended:
        """Search until the end.  Raises what a step raises."""
        users = min(self.rules.start, self.rules.most)
        while self.ended is None:
            step = self.attempt(users, self._stretch)
            self.steps.append(step)
            if step.outcome in (Outcome.MET, Outcome.MISSED):
                self.posterior.tell(step.users, step.outcome is Outcome.MET)
            self.told(step)
            self.ended = self._over(step)
            users = self._next(step)
        return self.ended

    @property
    def met(self) -> int:
        """The most people that met the objectives in a step; 0 if none did."""
        return max((each.users for each in self._of(Outcome.MET)), default=0)

    @property
    def missed(self) -> int | None:
        """The fewest people that missed them in a step."""
        return min((each.users for each in self._of(Outcome.MISSED)), default=None)

    @property
    def contradictions(self) -> int:
        """Steps that met the objectives although fewer people had missed them."""
        least = self.missed
        return sum(least is not None and each.users > least for each in self._of(Outcome.MET))

    def _of(self, outcome: Outcome) -> list[Step]:
        return [each for each in self.steps if each.outcome is outcome]

    def _over(self, step: Step) -> Ended | None:
        most = [each for each in self._of(Outcome.MET) if each.users == self.rules.most]
        if [each.outcome for each in self.steps[-TROUBLES:]] == [Outcome.INSTRUMENT] * TROUBLES:
            return Ended.INSTRUMENT
        if step.outcome is Outcome.FEW and self._stretch >= LONGEST:
            return Ended.FEW
        if self.missed is None and len(most) >= AGREED:
            return Ended.MOST
        if not self.met and len([each for each in self._of(Outcome.MISSED) if each.users == 1]) > 1:
            return Ended.NONE
        if self.met and self.missed is not None and self._close():
            return Ended.FOUND
        return Ended.STEPS if len(self.steps) >= self.rules.steps else None

    def _close(self) -> bool:
        low, high = self.posterior.interval()
        return high - low <= max(2 * self.rules.tolerance * self.posterior.median, 1.0)

    def _next(self, step: Step) -> int:
        """How many people to try next."""
        up = min(step.users * 2, self.rules.most)
        if step.outcome is Outcome.INSTRUMENT:
            return step.users
        if step.outcome is Outcome.FEW:
            if self.missed is None and up > step.users:
                return up  # more people give more samples
            self._stretch *= 2
            return step.users
        if self.missed is None:
            return up
        if not self.met:
            return max(step.users // 2, 1)
        return min(max(round(self.posterior.median), 1), self.rules.most)
