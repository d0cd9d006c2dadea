"""How much less a run's samples tell than as many independent ones.

Slow answers come in clumps: a checkpoint or a neighbour's work slows every call for seconds.
Blocks of neighbouring seconds show by how much the number of slow calls varies between them;
against what independent calls would vary, that is Kish's design effect, 1 + (n - 1) rho (Kish,
Survey Sampling, 1965, section 5.4), with n calls in a block.  An operation has fewer calls in a
block than all together, so its own effect is less by the same formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.buckets import Buckets, merged
from loadtests.compare.statistics import PERCENTILES, STATISTICS, Histogram

BLOCK = 5
"""Most seconds of a block."""

FEWEST_BLOCKS = 5
UNKNOWN_RHO = 0.05
"""Taken when there are too few blocks to see: a usual clumping, on the careful side."""


@dataclass(frozen=True, slots=True)
class Clumping:
    """Correlation within a block by statistic, and the calls in a block of all operations."""

    rho: Mapping[str, float]
    calls: float

    def effect(self, statistic: str, share: float) -> float:
        """The design effect for an operation with a share (0 to 1) of all calls."""
        return max(1.0 + (self.calls * share - 1.0) * self.rho[statistic], 1.0)


def clumping(seconds: Sequence[Mapping[str, Any]]) -> Clumping:
    """How the calls of a run clump, from its seconds (of result.json) in order."""
    phases = [[_buckets(each) for each in part] for part in _by_phase(seconds)]
    blocks = [list(_blocks([each for each in part if each.counts])) for part in phases]
    blocks = [part for part in blocks if len(part) > 1]
    sizes = [block.count for part in blocks for block in part]
    calls = sum(size**2 for size in sizes) / sum(sizes) if sizes else 1.0
    if len(sizes) < FEWEST_BLOCKS or calls <= 1:
        return Clumping(dict.fromkeys(STATISTICS, UNKNOWN_RHO), calls)
    rho = {each: _rho(blocks, each, calls) for each in STATISTICS}
    return Clumping(rho, calls)


def _buckets(second: Mapping[str, Any]) -> Buckets:
    return Buckets.unpack(tuple(second["response"]))


def _by_phase(seconds: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in seconds:
        found.setdefault(each["phase"], []).append(each)
    return list(found.values())


def _blocks(seconds: Sequence[Buckets]) -> Iterator[Buckets]:
    length = max(1, min(BLOCK, len(seconds) // 10))
    for first in range(0, len(seconds), length):
        yield merged(seconds[first : first + length])


def _rho(phases: Sequence[Sequence[Buckets]], statistic: str, calls: float) -> float:
    """Variance between blocks over the variance of independent calls, as a correlation."""
    between = expected = 0.0
    for blocks in phases:
        counts = [block.count for block in blocks]
        totals, variance = _totals(blocks, statistic)
        mean = sum(totals) / sum(counts)
        rest = [total - mean * n for total, n in zip(totals, counts, strict=True)]
        between += sum(each**2 for each in rest) * len(blocks) / (len(blocks) - 1)
        expected += variance * sum(counts)
    if expected <= 0:
        return 0.0
    return min(max((between / expected - 1) / (calls - 1), 0.0), 1.0)


def _totals(blocks: Sequence[Buckets], statistic: str) -> tuple[list[float], float]:
    """Per block the sum of what the statistic averages, and that thing's variance in one call.

    A percentile averages whether a call is slower than it, the mean the durations themselves.
    """
    whole = Histogram(merged(blocks))
    if statistic not in PERCENTILES:
        return [float(block.total) / 1e6 for block in blocks], whole.deviation**2
    edge = merged(blocks).percentile(PERCENTILES[statistic]) or 0.0
    slow = [_slower(block, edge) for block in blocks]
    share = sum(slow) / whole.count
    return slow, share * (1 - share)


def _slower(block: Buckets, edge: float) -> float:
    histogram = Histogram(block)
    pairs = zip(histogram.values, [0, *histogram.cumulative], histogram.cumulative, strict=False)
    return float(sum(after - before for value, before, after in pairs if value > edge))
