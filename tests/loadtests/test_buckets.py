"""Buckets: the error is bounded, merging loses nothing, a percentile never exceeds the maximum."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.buckets import MICROS, RELATIVE_ERROR, Buckets, merged

micros = st.integers(min_value=0, max_value=10**11)
many = st.lists(micros, min_size=1, max_size=200)
shares = st.sampled_from((0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0))


def filled(values: list[int]) -> Buckets:
    made = Buckets()
    for each in values:
        made.add(each)
    return made


def nearest_rank(values: list[int], share: float) -> int:
    return sorted(values)[max(math.ceil(share * len(values) - 1e-9), 1) - 1]


@given(many, shares)
def test_a_percentile_is_off_by_no_more_than_promised(values: list[int], share: float) -> None:
    found = filled(values).percentile(share)
    true = nearest_rank(values, share)
    assert found is not None
    assert abs(found * MICROS - true) <= true * RELATIVE_ERROR + 1e-6


@given(many, shares)
def test_a_percentile_lies_between_the_least_and_the_most(values: list[int], share: float) -> None:
    found = filled(values).percentile(share)
    assert found is not None
    assert min(values) / MICROS <= found <= max(values) / MICROS


@given(many, st.data())
def test_percentiles_rise(values: list[int], data: st.DataObject) -> None:
    low, high = sorted((data.draw(shares), data.draw(shares)))
    buckets = filled(values)
    assert (buckets.percentile(low) or 0) <= (buckets.percentile(high) or 0)


@given(st.lists(st.lists(micros, max_size=50), max_size=5))
def test_merging_is_as_if_counted_together(parts: list[list[int]]) -> None:
    whole = merged(filled(each) for each in parts)
    together = filled([each for part in parts for each in part])
    assert whole.pack() == together.pack()


@given(many)
def test_packing_loses_nothing(values: list[int]) -> None:
    buckets = filled(values)
    again = Buckets.unpack(buckets.pack())
    assert again.pack() == buckets.pack()
    assert (again.count, again.mean(), again.maximum()) == (
        len(values),
        sum(values) / len(values) / MICROS,
        max(values) / MICROS,
    )


def test_nothing_counted_is_no_number() -> None:
    empty = Buckets()
    assert (empty.count, empty.percentile(0.95), empty.maximum(), empty.mean()) == (
        0,
        None,
        None,
        None,
    )


def test_a_clock_that_stepped_back_counts_as_nothing() -> None:
    assert filled([-5, 3]).pack() == filled([0, 3]).pack()


@pytest.mark.parametrize("flat", [[1], [1, -1], [-1, 1]])
def test_torn_buckets_are_refused(flat: list[int]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        Buckets.unpack((0, 0, 0, flat))
