"""What steps say of the capacity: a probability for every number of people.

Whether a number of people meets the objectives is a psychometric function: yes far below the
capacity, no far above, either near it, and once in a while wrong.  The posterior of its threshold
after each answer, and asking next at its median, is QUEST (Watson and Pelli, Perception and
Psychophysics 33, 1983); that the median is the best place to ask of a noisy answer is
probabilistic bisection (Horstein, 1963; Waeber, Frazier and Henderson, SIAM J. Control 51, 2013).
A step that is repeated near the edge counts as often as it is repeated, and one odd answer among
them moves the estimate instead of deciding it.
"""

from __future__ import annotations

import bisect
import itertools
import math

POINTS = 800
SLOPES = (0.01, 0.03, 0.08)
"""How softly the objectives give way, as a share of the capacity: a rate limit hardly, a latency
more.  Each is as likely beforehand."""

LAPSE = 0.03
"""Share of answers that are wrong whatever the number: a checkpoint, a neighbour."""

TAIL = 0.05
"""Probability beyond either end of the interval."""


class Posterior:
    """Where the capacity lies, between 0.5 and twice the most people allowed."""

    def __init__(self, most: int) -> None:
        first, last = math.log(0.5), math.log(2.0 * most + 1)
        step = (last - first) / (POINTS - 1)
        self._logs = [first + at * step for at in range(POINTS)]
        self._weights = [[1.0] * POINTS for _ in SLOPES]

    def tell(self, users: int, met: bool) -> None:
        """Take the answer of one step."""
        asked = math.log(users)
        for weights, slope in zip(self._weights, SLOPES, strict=True):
            for at, place in enumerate(self._logs):
                weights[at] *= likelihood((place - asked) / slope, met)
        largest = max(max(weights) for weights in self._weights)
        self._weights = [[each / largest for each in weights] for weights in self._weights]

    def quantile(self, share: float) -> float:
        """The number of people that the capacity lies below with a probability."""
        marginal = [sum(weights) for weights in zip(*self._weights, strict=True)]
        at = bisect.bisect_left(list(itertools.accumulate(marginal)), share * sum(marginal))
        return math.exp(self._logs[min(at, POINTS - 1)])

    @property
    def median(self) -> float:
        """The number of people that the capacity exceeds as likely as not."""
        return self.quantile(0.5)

    def interval(self) -> tuple[float, float]:
        """The bounds between which the capacity lies with a probability of nine in ten."""
        return self.quantile(TAIL), self.quantile(1 - TAIL)


def likelihood(distance: float, met: bool) -> float:
    """Probability of an answer so far (in slopes) below the capacity."""
    bounded = min(max(distance, -60.0), 60.0)
    yes = LAPSE + (1 - 2 * LAPSE) / (1 + math.exp(-bounded))
    return yes if met else 1 - yes
