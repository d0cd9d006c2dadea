"""How much a number changes from run to run although nobody has changed the CRM.

No run can show that by itself: the machine, its neighbours and the state of caches differ between
runs, not within one.  The history can: the spread of earlier passed runs like the two.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

FEWEST_RUNS = 4
"""With fewer earlier runs the usual noise is taken: the spread of three says next to nothing."""

FEWEST_OPERATIONS = 3
"""With fewer operations there is no telling what they share from what is each one's own."""

MOST_RUNS = 10
USUAL: Mapping[str, float] = {"p50": 0.10, "p95": 0.25, "mean": 0.20}
"""Taken when the history cannot say: standard deviations of the logarithm, from short runs on a
machine with other work to do.  A quiet machine has a fifth of it."""

USUAL_APART: Mapping[str, float] = {"p50": 0.05, "p95": 0.15, "mean": 0.12}
"""The same of what is an operation's own: what slows the machine slows all of them alike."""

LEAST = 0.02
"""No history makes us believe that two runs agree better than to two hundredths."""

Number: TypeAlias = tuple[str, str]
"""Operation and statistic; the operation is ``ALL`` for what all operations share."""

ALL: Final = "(all)"
Sample: TypeAlias = tuple[float, float]
"""A value's logarithm and the standard error of it within its run."""

Table: TypeAlias = Mapping[Number, Sample]


@dataclass(frozen=True, slots=True)
class Noise:
    """Run-to-run deviations of the logarithm, and the number of runs that they rest on.

    ``whole`` is how much a number changes, ``apart`` how much it changes beyond what all
    operations share.
    """

    whole: Mapping[Number, float]
    apart: Mapping[Number, float]
    runs: int

    def of(self, operation: str, statistic: str, width: float) -> float:
        """The deviation of one number, so that ``width`` times it is the interval's half.

        It is the usual one if the history does not say.
        """
        known = self.whole.get((operation, statistic))
        return USUAL[statistic] if known is None else known * self._wider(width)

    def of_its_own(self, operation: str, statistic: str, width: float) -> float:
        """The same of what is the operation's own."""
        known = self.apart.get((operation, statistic))
        return USUAL_APART[statistic] if known is None else known * self._wider(width)

    def _wider(self, width: float) -> float:
        return student(width, self.runs - 1) / width


def learn(runs: Sequence[Table]) -> Noise:
    """The noise of earlier runs, each a table of its numbers."""
    if len(runs) < FEWEST_RUNS:
        return Noise({}, {}, 0)
    wholes = [{**run, **common(run, shared(runs))} for run in runs]
    aparts = [_apart(run) for run in wholes]
    return Noise(_deviations(wholes), _deviations(aparts), len(runs))


def shared(tables: Iterable[Table]) -> set[Number]:
    """The numbers that every table has."""
    return set.intersection(*(set(each) for each in tables))


def common(table: Table, numbers: Iterable[Number]) -> dict[Number, Sample]:
    """What the operations of a run share: for each statistic the median over them.

    The error of a median is 1.25 times that of a mean.  Nothing for too few operations.
    """
    found = {}
    chosen = list(numbers)
    for statistic in USUAL:
        samples = [table[each] for each in chosen if each[1] == statistic]
        if len(samples) >= FEWEST_OPERATIONS:
            middle = statistics.median(value for value, _ in samples)
            error = statistics.median(error for _, error in samples)
            found[ALL, statistic] = (middle, 1.25 * error / math.sqrt(len(samples)))
    return found


def _apart(table: Table) -> dict[Number, Sample]:
    """Each number less what all operations of its run share."""
    found = {}
    for (operation, statistic), (value, error) in table.items():
        share = table.get((ALL, statistic))
        if share is not None and operation != ALL:
            found[operation, statistic] = (value - share[0], math.hypot(error, share[1]))
    return found


def _deviations(tables: Sequence[Table]) -> dict[Number, float]:
    names = {name for table in tables for name in table}
    samples = {name: [table[name] for table in tables if name in table] for name in names}
    return {
        name: deviation(values) for name, values in samples.items() if len(values) >= FEWEST_RUNS
    }


def deviation(values: Sequence[Sample]) -> float:
    """What is left of the spread between runs beyond the error within them, half of it at least.

    One run with a large error of its own must not make us believe that the others agree.
    """
    between = statistics.variance(value for value, _ in values)
    within = statistics.median(error**2 for _, error in values)
    return math.sqrt(max(between - within, between / 2, LEAST**2))


def student(normal: float, freedom: int) -> float:
    """The quantile of Student's distribution that a normal quantile corresponds to (Abramowitz
    and Stegun, Handbook of Mathematical Functions, 26.7.5).

    The spread of a few runs is a guess itself; this is by how much wider that makes an interval.
    """
    z, n = normal, freedom
    terms = (
        (z**3 + z) / 4 / n,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96 / n**2,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / n**3,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160 / n**4,
    )
    return z + sum(terms)
