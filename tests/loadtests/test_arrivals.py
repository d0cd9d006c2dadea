"""Arrivals that several generators divide among themselves are those of one."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.child.arrivals import moments
from loadtests.plan import Part
from loadtests.workload import Workload

from .conftest import SMALL


def opened(rate: float, seconds: float, arrivals: str) -> Workload:
    phases = [{"name": "steady", "seconds": seconds, "rate": rate}]
    document = {**SMALL.model_dump(), "model": "open", "arrivals": arrivals, "phases": phases}
    return Workload.model_validate(document)


def arrivals_of(workload: Workload, turns: int) -> list[float]:
    parts = [Part(1 / turns, turn, turns) for turn in range(turns)]
    rngs = [random.Random(f"{part}") for part in parts]
    pairs = zip(parts, rngs, strict=True)
    return sorted(itertools.chain(*(moments(workload, part, rng) for part, rng in pairs)))


@settings(max_examples=40)
@given(st.integers(1, 100), st.integers(1, 20), st.integers(2, 9))
def test_constant_arrivals_are_the_same_ones(rate: int, seconds: int, turns: int) -> None:
    workload = opened(rate, seconds, "constant")
    alone, together = arrivals_of(workload, 1), arrivals_of(workload, turns)
    assert abs(len(alone) - len(together)) <= 1  # the last one is due at the very end
    both = zip(alone, together, strict=False)
    assert all(one == pytest.approx(other, abs=1e-6) for one, other in both)


def test_poisson_arrivals_add_up() -> None:
    workload = opened(100, 100, "poisson")
    for turns in (1, 2, 5):
        assert len(arrivals_of(workload, turns)) == pytest.approx(10_000, rel=0.04)
