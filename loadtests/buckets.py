"""Counting durations in log-linear buckets: small, quick, mergeable without loss.

A value of b bits keeps its 8 leading bits, so a bucket is at most 1/128 of its value wide; its
midpoint stands for every value in it, which is at most 0.4 % off.  Below 256 microseconds the
count is exact.  (The idea is HdrHistogram's; the dictionary is five times quicker in Python.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

BITS = 8
RELATIVE_ERROR = 0.004
"""The most by which a percentile may differ from the true value, as a share of it."""

MICROS = 1_000_000
Packed: TypeAlias = tuple[int, int, int, list[int]]
"""total, smallest, largest, then bucket and count by turns."""


class Buckets:
    """How many durations fell where.  Times go in as whole microseconds, come out as seconds."""

    __slots__ = ("counts", "largest", "smallest", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.total = 0
        self.smallest = 0
        self.largest = 0

    def add(self, micros: int) -> None:
        """Count one duration; a negative one (a clock that stepped) counts as 0."""
        counts = self.counts
        if micros > self.largest:
            self.largest = micros
        elif micros < 0:
            micros = 0
        if micros < self.smallest or not counts:
            self.smallest = micros
        shift = micros.bit_length() - BITS
        key = (micros >> shift) << shift if shift > 0 else micros
        counts[key] = counts.get(key, 0) + 1
        self.total += micros

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.counts.values())

    def merge(self, other: Buckets) -> None:
        """Add another's counts to these; the result is as if all had been counted here."""
        if not other.counts:
            return
        self.smallest = min(self.smallest, other.smallest) if self.counts else other.smallest
        self.largest = max(self.largest, other.largest)
        self.total += other.total
        for key, number in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + number

    def percentile(self, share: float) -> float | None:
        """The duration in seconds that ``share`` (0 to 1) of all do not exceed; None if empty.

        Nearest rank: the smallest counted value with at least ``share`` of all at or below it.
        """
        wanted = max(math.ceil(share * self.count - 1e-9), 1)
        seen = 0
        for key in sorted(self.counts):
            seen += self.counts[key]
            if seen >= wanted:
                return min(max(middle(key), self.smallest), self.largest) / MICROS
        return None

    def maximum(self) -> float | None:
        """The longest duration in seconds, exactly; None if empty."""
        return self.largest / MICROS if self.counts else None

    def mean(self) -> float | None:
        """The mean in seconds, exactly; None if empty."""
        return self.total / self.count / MICROS if self.counts else None

    def pack(self) -> Packed:
        """Plain numbers for JSON."""
        flat = [number for pair in sorted(self.counts.items()) for number in pair]
        return self.total, self.smallest, self.largest, flat

    @classmethod
    def unpack(cls, packed: Packed) -> Buckets:
        """The buckets that :meth:`pack` wrote.  Raises ValueError if they cannot be."""
        found = cls()
        found.total, found.smallest, found.largest, flat = packed
        if len(flat) % 2 or any(number < 0 for number in flat):
            raise ValueError("buckets and counts do not come in pairs")
        found.counts = dict(zip(flat[::2], flat[1::2], strict=True))
        return found


def middle(key: int) -> float:
    """The middle of a bucket's values, in microseconds."""
    shift = key.bit_length() - BITS
    return key + ((1 << shift) - 1) / 2 if shift > 0 else float(key)


def merged(many: Iterable[Buckets]) -> Buckets:
    """One set of buckets with the counts of all."""
    whole = Buckets()
    for each in many:
        whole.merge(each)
    return whole
