"""The Universal Scalability Law, fitted to the steps of a search.

X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)): throughput of N people, where sigma is
what they queue for and kappa what they make each other do (Gunther, Guerrilla Capacity Planning,
2007, chapter 4).  N / X(N) is linear in (1, N - 1, N (N - 1)), so its least squares need no
iteration; each step weighs by its own N / X, so that it is relative errors that are small.  None
of the three may be negative (a law with a negative one has no meaning): of the solutions with
some of them zero the best is taken, which for three numbers is non-negative least squares.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
"""People and answered requests a second."""

FEWEST = 4
"""Different numbers of people below which three numbers would fit anything."""


@dataclass(frozen=True, slots=True)
class Law:
    """The law's three numbers, and the root mean square of the relative errors of the fit."""

    rate: float
    sigma: float
    kappa: float
    error: float = 0.0

    def throughput(self, users: float) -> float:
        """Requests a second of so many people."""
        slowed = 1 + self.sigma * (users - 1) + self.kappa * users * (users - 1)
        return self.rate * users / slowed

    @property
    def peak(self) -> float | None:
        """People with whom the throughput is highest; None if it never falls."""
        return math.sqrt((1 - self.sigma) / self.kappa) if self.kappa and self.sigma < 1 else None

    @property
    def ceiling(self) -> float | None:
        """The highest throughput; None if it grows without end."""
        if self.peak is not None:
            return self.throughput(self.peak)
        return self.rate / self.sigma if self.sigma else None

    @property
    def knee(self) -> float | None:
        """People with whom an unhindered system would reach the highest throughput: where its
        two asymptotes meet (Denning and Buzen, Computing Surveys 10, 1978); None if there is none.
        """
        return self.ceiling / self.rate if self.ceiling is not None else None


def fit(points: Sequence[Point]) -> Law | None:
    """The law that fits best; None with too few different numbers of people."""
    usable = [(users, rate) for users, rate in points if users >= 1 and rate > 0]
    if len({users for users, _ in usable}) < FEWEST:
        return None
    laws = (_solve(usable, terms) for terms in itertools.product((0, 1), repeat=2))
    found = [law for law in laws if law is not None]
    return min(found, key=lambda law: law.error, default=None)


def knee_error(points: Sequence[Point]) -> float | None:
    """Standard error of the knee by leaving each step out in turn (jackknife); None if a fit
    without one of them has no knee.
    """
    knees = []
    for left_out in range(len(points)):
        law = fit([*points[:left_out], *points[left_out + 1 :]])
        if law is None or law.knee is None:
            return None
        knees.append(law.knee)
    if len(knees) < FEWEST:
        return None
    return math.sqrt((len(knees) - 1) * statistics.pvariance(knees))


def _solve(points: Sequence[Point], terms: tuple[int, ...]) -> Law | None:
    """Weighted least squares with some of the terms; None if the result has no meaning."""
    rows = []
    for users, rate in points:
        scale = rate / users
        both = ((users - 1) * scale, users * (users - 1) * scale)
        rows.append([scale, *(value for value, used in zip(both, terms, strict=True) if used)])
    solved = least_squares(rows, [1.0] * len(rows))
    if solved is None:
        return None
    rest = iter(solved[1:])
    slow, clash = (next(rest) if used else 0.0 for used in terms)
    if solved[0] <= 0 or slow < 0 or clash < 0:
        return None
    made = Law(1 / solved[0], slow / solved[0], clash / solved[0])
    errors = [math.log(made.throughput(users) / rate) for users, rate in points]
    return Law(made.rate, made.sigma, made.kappa, math.sqrt(statistics.fmean(e**2 for e in errors)))


def least_squares(rows: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float] | None:
    """Coefficients by the normal equations, columns scaled to one; None if they are singular."""
    width = len(rows[0])
    scales = [math.sqrt(sum(row[at] ** 2 for row in rows)) or 1.0 for at in range(width)]
    scaled = [[value / scale for value, scale in zip(row, scales, strict=True)] for row in rows]
    matrix = [
        [
            *(sum(row[i] * row[j] for row in scaled) for j in range(width)),
            sum(row[i] * value for row, value in zip(scaled, wanted, strict=True)),
        ]
        for i in range(width)
    ]
    solved = eliminate(matrix)
    if solved is None:
        return None
    return [value / scale for value, scale in zip(solved, scales, strict=True)]


def eliminate(matrix: list[list[float]]) -> list[float] | None:
    """Solve a small system by Gauss and Jordan with pivots; None if it is singular."""
    size = len(matrix)
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(matrix[row][column]))
        if abs(matrix[pivot][column]) < 1e-12:
            return None
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        for row in range(size):
            if row != column:
                factor = matrix[row][column] / matrix[column][column]
                matrix[row] = [
                    one - factor * other
                    for one, other in zip(matrix[row], matrix[column], strict=True)
                ]
    return [matrix[row][size] / matrix[row][row] for row in range(size)]
