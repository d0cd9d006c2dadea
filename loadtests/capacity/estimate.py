"""What a search has come to, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadtests.capacity.search import Ended, Search
from loadtests.capacity.steps import gave_way_first
from loadtests.capacity.usl import Law, Point, fit, knee_error

EDGE = 0.10
"""Share of the capacity within which a step counts as near it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The capacity with its bounds, the law, what gave way first, and how sure that is.

    ``users`` is the most people that meet the objectives as likely as not, ``low`` and ``high``
    bound it with a probability of nine in ten; None is unbounded or unknown.
    """

    users: float | None
    low: float | None
    high: float | None
    law: Law | None
    knee_error: float | None
    first: tuple[str, ...]
    first_at: int | None
    words: str
    sure: str


def estimate(search: Search) -> Estimate:
    """What the steps of a search say together."""
    users, low, high = _bounds(search)
    law, error = _law(search)
    first_at, first = gave_way_first(search.steps)
    return Estimate(
        users=users,
        low=low,
        high=high,
        law=law,
        knee_error=error,
        first=tuple(first),
        first_at=first_at,
        words=_words(search, users, low, high),
        sure=_sure(search, users),
    )


def _bounds(search: Search) -> tuple[float | None, float | None, float | None]:
    low, high = search.posterior.interval()
    most = float(search.rules.most)
    if search.ended is Ended.NONE:
        return 0.0, 0.0, 1.0
    if not search.met:
        return None, None, None
    if search.missed is None:  # nothing stopped us but the end of what is allowed or of the tool
        met = float(search.met)
        return met, min(met, max(low, 1.0)), None
    return (
        float(min(max(math.floor(search.posterior.median), 1), most)),
        float(max(math.floor(low), 1)),
        float(math.ceil(high)),
    )


def _law(search: Search) -> tuple[Law | None, float | None]:
    points: list[Point] = [
        (step.users, step.throughput) for step in search.steps if step.throughput
    ]
    law = fit(points)
    return law, knee_error(points) if law and law.knee else None


def _words(search: Search, users: float | None, low: float | None, high: float | None) -> str:
    ended, last = search.ended, search.steps[-1]
    if ended is Ended.NONE:
        return "not even one person meets the objectives"
    if ended is Ended.INSTRUMENT:
        known = f"; at least {search.met} people meet the objectives" if search.met else ""
        return f"the load generator gave way with {last.users} people ({last.reason}){known}"
    if users is None:
        return f"no number of people could be judged: {last.reason}"
    if ended is Ended.MOST:
        return f"at least {users:.0f} people meet the objectives; more are not allowed"
    bounds = f"{low:.0f} to {high:.0f}" if low is not None and high is not None else "no bounds"
    if ended is Ended.FOUND:
        return f"{users:.0f} people meet the objectives ({bounds})"
    return f"about {users:.0f} people ({bounds}); {ended} before it was sure: {last.reason}"


def _sure(search: Search, users: float | None) -> str:
    """How sure: what the bounds rest on."""
    if not users:
        return "nothing is known beyond the steps themselves"
    near = [each for each in search.steps if abs(each.users - users) <= EDGE * users]
    text = f"{len(search.steps)} steps, {len(near)} of them within {EDGE:.0%} of the capacity"
    odd = search.contradictions
    if odd:
        return f"{text}; {odd} met the objectives although fewer people had missed them"
    return f"{text}; none contradicts another"
