"""Puts requests together to sessions and adds up what people do in them.

Memory grows with the people and the sessions, not with the lines.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.fit.lines import Hit

HOUR = 3600.0
SAME_ACTION = 1.0
"""Gaps in seconds below which calls belong to one action: many logs know whole seconds only."""


@dataclass(slots=True)
class Open:
    """A session that may go on."""

    begun: float
    last: float
    calls: int = 0
    left: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is over; ``left`` if it ended with a logout."""

    begun: float
    ended: float
    calls: int
    left: bool


@dataclass(slots=True)
class Logs:
    """Sums of logarithms of positive numbers, for the two numbers of a lognormal."""

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Count one number (Welford, Technometrics 4, 1962)."""
        logarithm = math.log(value)
        self.number += 1
        before = logarithm - self.mean
        self.mean += before / self.number
        self.squares += before * (logarithm - self.mean)

    @property
    def variance(self) -> float:
        """Variance of the logarithms."""
        return self.squares / (self.number - 1) if self.number > 1 else 0.0


@dataclass(slots=True)
class Day:
    """Everything that a log says of its people, in numbers only."""

    pause: float = 1800.0
    calls: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    by_hour: Counter[int] = field(default_factory=Counter)
    gaps: Logs = field(default_factory=Logs)
    sessions: list[Session] = field(default_factory=list)
    _open: dict[str, Open] = field(default_factory=dict)

    def take(self, hit: Hit, operation: str) -> None:
        """Count one call of a person; times are shifted to the log's own clock."""
        at = hit.at + hit.offset
        session = self._open.get(hit.who)
        if session is not None and (
            session.left or operation == "login" or at - session.last > self.pause
        ):
            self._end(session)
            session = None
        if session is None:
            session = self._open[hit.who] = Open(at, at)
        gap = at - session.last
        if gap >= SAME_ACTION:
            self.gaps.add(gap)
        session.last = max(session.last, at)
        session.calls += 1
        session.left = operation == "logout"
        self.calls[operation] += 1
        self.by_hour[int(at // HOUR)] += 1

    def close(self) -> None:
        """The log is over."""
        for session in self._open.values():
            self._end(session)
        self._open.clear()
        self.sessions.sort(key=lambda each: each.begun)

    def _end(self, session: Open) -> None:
        if session.calls > 1:
            self.sessions.append(Session(session.begun, session.last, session.calls, session.left))


def median_length(sessions: Sequence[Session]) -> float:
    """Median seconds of a session."""
    lengths = sorted(each.ended - each.begun for each in sessions)
    return lengths[len(lengths) // 2]


def by_hour(sessions: Sequence[Session]) -> tuple[dict[int, int], dict[int, int]]:
    """Sessions begun, and the most people present at once, by hour since 1970."""
    begun = Counter(int(each.begun // HOUR) for each in sessions)
    changes: dict[float, int] = defaultdict(int)
    for each in sessions:
        changes[each.begun] += 1
        changes[each.ended] -= 1
    peaks: dict[int, int] = {}
    present, hour = 0, 0
    for moment in sorted(changes):
        for between in range(hour, int(moment // HOUR) + 1) if peaks else ():
            peaks[between] = max(peaks.get(between, 0), present)
        present += changes[moment]
        hour = int(moment // HOUR)
        peaks[hour] = max(peaks.get(hour, 0), present)
    return dict(begun), peaks


def busiest_day(begun: dict[int, int]) -> int:
    """The day since 1970 on which most sessions began."""
    days: Counter[int] = Counter()
    for hour, number in begun.items():
        days[hour // 24] += number
    return max(days, key=lambda day: (days[day], -day))
