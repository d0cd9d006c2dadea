"""How often each journey was walked, from how often each operation was called.

A log shows calls, not intentions.  Each journey makes known calls, so the counts of the log are
a mixture of them, and the most likely mixture (of Poisson counts, with no journey walked less
than never) is found by expectation maximisation (Dempster, Laird and Rubin, 1977; for counts
known as Richardson and Lucy's method).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtests.fit.rehearsal import Habit

ROUNDS = 2000
RARE = 0.005
"""Journeys with a smaller share of all walks are left out: they stand for stray calls."""


def mixture(calls: Mapping[str, int], habits: Sequence[Habit]) -> dict[str, float]:
    """Walks of each journey; journeys that nobody walked are left out."""
    names = sorted({name for habit in habits for name in habit.calls} & set(calls))
    counts = [float(calls[name]) for name in names]
    table = [[habit.calls.get(name, 0.0) for name in names] for habit in habits]
    whole = [sum(habit.calls.values()) for habit in habits]
    walks = [1.0] * len(habits)
    for _ in range(ROUNDS):
        expected = [
            sum(walk * row[at] for walk, row in zip(walks, table, strict=True))
            for at in range(len(names))
        ]
        ratios = [
            count / each if each > 0 else 0.0 for count, each in zip(counts, expected, strict=True)
        ]
        walks = [
            walk * sum(one * ratio for one, ratio in zip(row, ratios, strict=True)) / all_calls
            for walk, row, all_calls in zip(walks, table, whole, strict=True)
        ]
    total = sum(walks)
    return {
        habit.journey: walk
        for habit, walk in zip(habits, walks, strict=True)
        if total > 0 and walk / total >= RARE
    }


def explained(
    calls: Mapping[str, int], habits: Sequence[Habit], walks: Mapping[str, float]
) -> float:
    """Share of the calls (logouts aside) that the mixture accounts for."""
    wanted = {name: number for name, number in calls.items() if name != "logout"}
    total = sum(wanted.values())
    if not total:
        return 0.0
    made: dict[str, float] = {}
    for habit in habits:
        for name, number in habit.calls.items():
            made[name] = made.get(name, 0.0) + number * walks.get(habit.journey, 0.0)
    return sum(min(number, made.get(name, 0.0)) for name, number in wanted.items()) / total
