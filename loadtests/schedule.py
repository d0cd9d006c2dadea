"""When each person comes and goes, and which phase a moment belongs to.  Pure, no clock."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeAlias

from loadtests.workload import Phase, Workload, present

Stay: TypeAlias = tuple[float, float]
"""From when to when a person is there, in seconds from the start."""

BELL = NormalDist(0.5, 1 / 6)
"""Arrivals around the middle of the span: 80 % within the middle 43 % of it."""


class PhaseClock:
    """Which phase a second belongs to."""

    def __init__(self, phases: Sequence[tuple[str, float]]) -> None:
        self._names = [name for name, _ in phases]
        self._ends = list(itertools.accumulate(seconds for _, seconds in phases))

    def at(self, second: float) -> str:
        """The name of the phase; after the end it is the last one."""
        return self._names[min(bisect.bisect_right(self._ends, second), len(self._names) - 1)]

    @property
    def end(self) -> float:
        """When the last phase ends."""
        return self._ends[-1]


def stays(workload: Workload) -> list[list[Stay]]:
    """For each person, in order of precedence, when they are there.

    A phase says how many are present at its end and within how many seconds they come or go;
    the last to come are the first to go.
    """
    open_since: list[float | None] = [None] * workload.users
    found: list[list[Stay]] = [[] for _ in range(workload.users)]
    begins, before = 0.0, 0
    for phase in workload.phases:
        after = present(workload.users, phase)
        moving = range(min(before, after), max(before, after))
        for moment, person in zip(_moments(phase, len(moving)), moving, strict=True):
            since = open_since[person]
            if since is None:
                open_since[person] = begins + moment
            else:
                found[person].append((since, begins + moment))
                open_since[person] = None
        begins, before = begins + phase.seconds, after
    for person, since in enumerate(open_since):
        if since is not None:
            found[person].append((since, begins))
    return found


def _moments(phase: Phase, number: int) -> list[float]:
    """When people come or go, in seconds from the phase's start, in order."""
    even = [(each + 0.5) / number for each in range(number)]
    if phase.arrival == "bell":
        even = [min(max(BELL.inv_cdf(share), 0.0), 1.0) for share in even]
    return [share * phase.within for share in even]


def rate_at(workload: Workload, second: float) -> float:
    """Open model: arrivals a second at a moment.

    A phase's rate is reached ``within`` its first seconds, from the rate of the phase before
    (the first phase begins with its own).
    """
    begins, before = 0.0, workload.phases[0].rate or 0.0
    for phase in workload.phases:
        rate = phase.rate or 0.0
        if second < begins + phase.seconds:
            share = (second - begins) / phase.within if phase.within else 1.0
            return before + (rate - before) * min(max(share, 0.0), 1.0)
        begins, before = begins + phase.seconds, rate
    return 0.0
