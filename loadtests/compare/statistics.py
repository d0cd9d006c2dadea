"""Three numbers of an operation, each with how far it might be from what it stands for.

Percentiles are bootstrapped from the buckets: of n values resampled with replacement, the k-th
smallest lies at the quantile Beta(k, n + 1 - k) of the sample (David and Nagaraja, Order
Statistics, 2003, section 2.3), so drawing that quantile is the same as resampling n values and
costs one number.  The mean of a resample is normal around the sample's mean with its standard
error (central limit theorem; the least number of samples sees to that).
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from loadtests.buckets import MICROS, Buckets, middle

PERCENTILES: Mapping[str, float] = {"p50": 0.50, "p95": 0.95}
STATISTICS = (*PERCENTILES, "mean")


class Histogram:
    """Buckets in order, with the cumulative counts that quantiles are looked up in."""

    def __init__(self, buckets: Buckets) -> None:
        keys = sorted(buckets.counts)
        self.buckets = buckets
        self.values = [middle(key) / MICROS for key in keys]
        self.cumulative = list(itertools.accumulate(buckets.counts[key] for key in keys))
        self.count = self.cumulative[-1] if keys else 0

    def quantile(self, share: float) -> float:
        """The value at a share (0 to 1) of the counts, in seconds."""
        at = bisect.bisect_left(self.cumulative, share * self.count)
        return self.values[min(at, len(self.values) - 1)]

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the values in seconds."""
        mean = self.buckets.mean() or 0.0
        counts = (b - a for a, b in itertools.pairwise([0, *self.cumulative]))
        total = sum(n * (v - mean) ** 2 for v, n in zip(self.values, counts, strict=True))
        return math.sqrt(total / max(self.count - 1, 1))


@dataclass(frozen=True, slots=True)
class Estimate:
    """One statistic of one run: its value in seconds, the standard error of its logarithm."""

    value: float
    log_error: float
    observed: int


def estimate(
    histogram: Histogram, statistic: str, design_effect: float, rng: random.Random, draws: int
) -> Estimate | None:
    """The statistic and its bootstrap error; None if nothing was counted.

    ``design_effect`` divides the number of samples: values that come in clumps tell less than as
    many independent ones.
    """
    value = take(histogram, statistic)
    if value is None or value <= 0:
        return None
    effective = max(histogram.count / design_effect, 1.0)
    if statistic in PERCENTILES:
        rank = math.ceil(PERCENTILES[statistic] * effective - 1e-9)
        shape = (max(rank, 1.0), max(effective + 1 - rank, 0.5))
        drawn = [histogram.quantile(rng.betavariate(*shape)) for _ in range(draws)]
    else:
        error = histogram.deviation / math.sqrt(effective)
        drawn = [rng.gauss(value, error) for _ in range(draws)]
    logs = [math.log(max(each, value / 1000, 1 / MICROS)) for each in drawn]
    return Estimate(value, statistics.pstdev(logs), histogram.count)


def take(histogram: Histogram, statistic: str) -> float | None:
    """The statistic's value in seconds, as reports show it; None if nothing was counted."""
    if statistic in PERCENTILES:
        return histogram.buckets.percentile(PERCENTILES[statistic])
    return histogram.buckets.mean()
