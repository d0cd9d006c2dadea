"""From what people did to a workload that does the same."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crmops.errors import UnknownEvidence, UsageError
from loadtests.fit.lines import Reading
from loadtests.fit.rehearsal import LOGIN, Habit, moments
from loadtests.fit.sessions import Day, busiest_day, by_hour
from loadtests.fit.shares import explained, mixture
from loadtests.workload import Role

PAUSE = float(Role.model_fields["pause"].default)
"""Median seconds between two journeys at pace 1; the pace scales it like the thinking."""

FEWEST_SESSIONS, FEWEST_GAPS = 20, 100
MOST_BAD = 0.5
"""Share of bad lines from which a file is no access log."""

HOURS_OF_A_DAY = 24
ROUND = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the workload shall look: names, the accounts it uses, seconds that stand for an hour."""

    name: str
    role: str
    accounts: tuple[str, ...]
    hour: float = 60.0
    open: bool = False


@dataclass(frozen=True, slots=True)
class Fitted:
    """A workload as plain data, and the numbers that it was made of."""

    workload: dict[str, Any]
    numbers: dict[str, Any]


def check_enough(reading: Reading, day: Day) -> None:
    """Raise unless there is enough to fit from.

    UsageError for what is no access log or knows none of our operations, UnknownEvidence for too
    little of it.
    """
    bad = sum(reading.bad.values())
    if not reading.lines:
        raise UnknownEvidence("the access log is empty", hint="Give the log of a working day.")
    if bad > reading.lines * MOST_BAD:
        number, reason = reading.named[0]
        raise UsageError(
            f"{bad} of {reading.lines} lines cannot be read; line {number}: {reason}",
            hint="Combined format and JSON lines are known; give a log in one of them.",
        )
    if not day.calls:
        raise UsageError(
            "no request of the log is an operation that the connector knows",
            hint="Name them with --map: lines such as `GET /crm/contact/{id}: contacts.get`.",
        )
    sessions, gaps = len(day.sessions), day.gaps.number
    if sessions < FEWEST_SESSIONS or gaps < FEWEST_GAPS:
        raise UnknownEvidence(
            f"{sessions} sessions with {gaps} pauses are too few to fit from "
            f"({FEWEST_SESSIONS} and {FEWEST_GAPS} are wanted)",
            hint="Give a longer log, or name more requests with --map.",
        )


def fit_workload(day: Day, habits: list[Habit], wanted: Wanted) -> Fitted:
    """The workload that does what the log's people did on their busiest day.

    Raises UnknownEvidence if none of the journeys explains the calls.
    """
    walks = mixture(day.calls, habits)
    worked = {name: walk for name, walk in walks.items() if name != LOGIN}
    if not worked:
        raise UnknownEvidence(
            "no journey makes the calls of this log",
            hint="Name more requests with --map, so that lists, searches and records are known.",
        )
    begun, peaks = by_hour(day.sessions)
    hours = hours_of(busiest_day(begun), peaks)
    users = max(peaks.get(hour, 0) for hour in hours)
    calls = sum(day.calls.values()) / sum(worked.values())
    role = _role(day, habits, walks, wanted)
    workload = {
        "name": wanted.name,
        "summary": f"fitted from an access log of {len(day.sessions)} sessions",
        "model": "open" if wanted.open else "closed",
        "users": users * 2 if wanted.open else users,
        "phases": [_phase(hour, peaks, day, users, calls, wanted) for hour in hours],
        "roles": {wanted.role: role},
    }
    numbers = {
        "sessions": len(day.sessions),
        "calls": sum(day.calls.values()),
        "calls_explained": round(explained(day.calls, habits, walks), ROUND),
        "people_at_once": users,
        "think_time_median": round(math.exp(day.gaps.mean), 3),
        "think_time_sigma": round(math.sqrt(day.gaps.variance), ROUND),
        "session_median": role["session"],
        "sessions_begun_by_hour": {
            f"{hour % HOURS_OF_A_DAY:02d}": begun.get(hour, 0) for hour in hours
        },
        **{name: role[name] for name in ("journeys", "pace", "spread")},
    }
    return Fitted(workload, numbers)


def _role(
    day: Day, habits: list[Habit], walks: Mapping[str, float], wanted: Wanted
) -> dict[str, Any]:
    worked = {name: walk for name, walk in sorted(walks.items()) if name != LOGIN}
    total = sum(worked.values())
    pace, spread = thinking(day, habits, walks)
    return {
        "share": 1,
        "accounts": list(wanted.accounts),
        "pace": round(pace, ROUND),
        "spread": round(spread, ROUND),
        "session": round(session_lengths(day), 1),
        "abandon": round(abandoned(day), ROUND),
        "journeys": {name: round(100 * walk / total, 2) for name, walk in worked.items()},
    }


def thinking(day: Day, habits: list[Habit], walks: Mapping[str, float]) -> tuple[float, float]:
    """Pace and spread: how the log's pauses differ from the medians that the journeys name.

    The logarithm of a pause is that of its median, of the pace and of a lognormal with median 1;
    so means subtract and variances too.
    """
    pairs = [(each, walks[each.journey]) for each in habits if each.journey in walks]
    mean, variance = moments(pairs)
    pace = math.exp(day.gaps.mean - mean)
    return pace, min(math.sqrt(max(day.gaps.variance - variance, 0.0)), 2.0)


def session_lengths(day: Day) -> float:
    """Median seconds of a session: of the logarithms' mean, as the workload's is lognormal."""
    lengths = [each.ended - each.begun for each in day.sessions if each.ended > each.begun]
    return max(statistics.median(lengths), 1.0) if lengths else 1.0


def abandoned(day: Day) -> float:
    """Share of sessions without a logout; the usual one if the log shows no logout at all."""
    left = sum(each.left for each in day.sessions)
    if not left:
        return float(Role.model_fields["abandon"].default)
    return 1 - left / len(day.sessions)


def hours_of(day: int, peaks: Mapping[int, int]) -> list[int]:
    """The hours of a day from the first to the last in which anybody was there."""
    first = day * HOURS_OF_A_DAY
    there = [hour for hour in range(first, first + HOURS_OF_A_DAY) if peaks.get(hour)]
    return list(range(there[0], there[-1] + 1))


def _phase(
    hour: int, peaks: Mapping[int, int], day: Day, users: int, calls: float, wanted: Wanted
) -> dict[str, Any]:
    phase: dict[str, Any] = {
        "name": f"h{hour % HOURS_OF_A_DAY:02d}",
        "seconds": wanted.hour,
        "people": round(peaks.get(hour, 0) / users, ROUND),
        "within": round(wanted.hour * 0.9, 3),
    }
    if wanted.open:
        phase["people"] = 1
        phase["rate"] = max(round(day.by_hour[hour] / calls / 3600, 6), 0.001)
    return phase
