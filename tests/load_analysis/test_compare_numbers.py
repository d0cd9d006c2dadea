"""The statistics beneath a comparison, held against known values and brute force."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, strategies

from loadtests.buckets import Buckets
from loadtests.compare.correlation import clumping
from loadtests.compare.judge import newcombe, wilson
from loadtests.compare.noise import ALL, FEWEST_RUNS, LEAST, common, deviation, learn, student
from loadtests.compare.runs import Operation
from loadtests.compare.statistics import Histogram, estimate

from .made_up import close


def buckets(values: list[float]) -> Buckets:
    made = Buckets()
    for each in values:
        made.add(int(each * 1e6))
    return made


def lognormals(number: int, seed: int = 1, sigma: float = 0.5) -> list[float]:
    rng = random.Random(seed)
    return [0.02 * rng.lognormvariate(0, sigma) for _ in range(number)]


@pytest.mark.parametrize(("statistic", "share"), [("p50", 0.5), ("p95", 0.95)])
def test_the_quick_bootstrap_is_the_slow_one(statistic: str, share: float) -> None:
    values = lognormals(400)
    rng = random.Random(2)
    slow = []
    for _ in range(1500):
        drawn = sorted(rng.choices(values, k=len(values)))
        slow.append(math.log(drawn[math.ceil(share * len(values)) - 1]))
    found = estimate(Histogram(buckets(values)), statistic, 1.0, random.Random(3), 4000)
    assert found is not None
    assert close(found.log_error, statistics.pstdev(slow), 0.15)


def test_the_error_of_a_mean_and_of_clumped_values() -> None:
    values = lognormals(2000)
    expected = statistics.stdev(values) / math.sqrt(len(values)) / statistics.fmean(values)
    plain = estimate(Histogram(buckets(values)), "mean", 1.0, random.Random(3), 4000)
    clumped = estimate(Histogram(buckets(values)), "mean", 4.0, random.Random(3), 4000)
    assert plain is not None
    assert clumped is not None
    assert close(plain.log_error, expected, 0.1)
    assert close(clumped.log_error, 2 * plain.log_error, 0.1)


def test_an_estimate_is_the_same_each_time_and_nothing_is_none() -> None:
    histogram = Histogram(buckets(lognormals(300)))
    one, two = (estimate(histogram, "p95", 1.0, random.Random("x"), 500) for _ in range(2))
    assert one == two
    assert estimate(Histogram(Buckets()), "p50", 1.0, random.Random(1), 100) is None


@given(strategies.lists(strategies.floats(0.0001, 10), min_size=1, max_size=60))
def test_quantiles_agree_with_the_buckets(values: list[float]) -> None:
    made = buckets(values)
    histogram = Histogram(made)
    for share in (0.01, 0.5, 0.95, 1.0):
        theirs = made.percentile(share)
        assert theirs is not None
        assert close(histogram.quantile(share), theirs, 0.01)


def seconds(values: list[list[float]]) -> list[dict[str, object]]:
    return [{"phase": "work", "response": buckets(each).pack()} for each in values]


def test_independent_calls_do_not_clump_and_slow_seconds_do() -> None:
    quiet = clumping(seconds([lognormals(40, seed) for seed in range(60)]))
    assert quiet.effect("p50", 0.2) < 1.6
    slow = [lognormals(40, seed) for seed in range(60)]
    slow[20:35] = [[4 * each for each in second] for second in slow[20:35]]
    assert clumping(seconds(slow)).effect("p50", 0.2) > 5
    few = clumping(seconds([lognormals(40, seed) for seed in range(3)]))
    assert few.rho["p50"] == 0.05


def test_intervals_of_shares_are_the_published_ones() -> None:
    # Newcombe 1998, table II, method 10, (a) 56/70 - 48/80: 0.0524 to 0.3339; the other way round.
    one, two = Operation(Buckets(), 80, 48), Operation(Buckets(), 70, 56)
    low, high = newcombe(one, two, 1.959964, 1.0)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
    # Newcombe 1998 (single proportion), 81 of 263 by Wilson's score: 0.2553 to 0.3662.
    assert [round(each, 4) for each in wilson(81 / 263, 263, 1.959964)] == [0.2553, 0.3662]


@pytest.mark.parametrize(
    ("normal", "freedom", "student_says"), [(1.959964, 9, 2.262), (2.575829, 5, 4.032)]
)
def test_students_quantiles(normal: float, freedom: int, student_says: float) -> None:
    assert close(student(normal, freedom), student_says, 0.01)


def test_the_noise_between_runs_is_learnt_from_enough_of_them() -> None:
    rng = random.Random(4)
    names = [(name, "p50") for name in ("a", "b", "c", "d")]
    runs = []
    for _ in range(400):
        together = rng.gauss(0, 0.3)
        runs.append({name: (together + rng.gauss(0, 0.05), 0.01) for name in names})
    noise = learn(runs)
    assert close(noise.whole["a", "p50"], 0.3, 0.15)
    assert close(noise.whole[ALL, "p50"], 0.3, 0.15)
    assert close(noise.apart["a", "p50"], 0.05, 0.35)
    assert learn(runs[: FEWEST_RUNS - 1]).runs == 0
    assert deviation([(1.0, 0.1)] * 5) == LEAST
    assert common({names[0]: (1.0, 0.1)}, names[:1]) == {}
