"""The search on systems whose ceiling is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import Phase, given, settings, strategies

from loadtests.capacity.estimate import estimate
from loadtests.capacity.search import Ended, Rules, Search
from loadtests.capacity.steps import Outcome, Step, gave_way_first
from loadtests.capacity.usl import Law, fit, knee_error, least_squares

SIX = Law(rate=2.0, sigma=0.02, kappa=0.0005)


def system(
    ceiling: float, softness: float = 0.001, lapse: float = 0.0, seed: int = 1
) -> Callable[[int, float], Step]:
    """Meets its objectives up to a ceiling; near it now and then, and wrong in a lapse."""
    rng = random.Random(seed)

    def attempt(users: int, stretch: float) -> Step:
        distance = (math.log(users) - math.log(ceiling)) / softness
        chance = 1 / (1 + math.exp(min(max(distance, -60), 60)))
        met = rng.random() < lapse + (1 - 2 * lapse) * chance
        outcome = Outcome.MET if met else Outcome.MISSED
        broken = () if met else (("latency", "response_time.p95", users / ceiling),)
        answered = min(users, ceiling) * 1.5
        return Step(users, 10 * stretch, outcome, "", answered, 0.1, broken, "run")

    return attempt


@settings(max_examples=12, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(strategies.floats(1.5, 4000), strategies.integers(1, 200), strategies.integers(0, 10**6))
def test_a_known_ceiling_is_found_within_a_tenth(ceiling: float, start: int, seed: int) -> None:
    search = Search(system(ceiling, 0.005, seed=seed), Rules(start=start, most=5000))
    assert search.run() in (Ended.FOUND, Ended.STEPS)
    found = estimate(search)
    assert found.users is not None
    assert found.low is not None
    assert found.high is not None
    assert abs(found.users - int(ceiling)) <= max(0.1 * ceiling, 1.0)  # people are whole
    assert found.low <= found.users <= found.high
    assert len(search.steps) <= 24


@pytest.mark.parametrize("seed", range(8))
def test_a_wrong_answer_now_and_then_does_not_mislead(seed: int) -> None:
    search = Search(system(300, 0.02, lapse=0.04, seed=seed), Rules(start=20, most=2000))
    search.run()
    assert abs(search.posterior.median - 300) <= 30


def test_the_edge_is_tried_again_and_again() -> None:
    search = Search(system(100), Rules(start=10, most=1000))
    search.run()
    near = [each for each in search.steps if 90 <= each.users <= 110]
    assert len(near) >= 3
    assert estimate(search).first == ("latency",)


def test_as_many_as_are_allowed() -> None:
    search = Search(system(5000), Rules(start=10, most=60))
    assert search.run() is Ended.MOST
    found = estimate(search)
    assert (found.users, found.high) == (60, None)
    assert found.words == "at least 60 people meet the objectives; more are not allowed"
    assert [each.users for each in search.steps] == [10, 20, 40, 60, 60]


def test_nobody() -> None:
    search = Search(system(0.3), Rules(start=10, most=60))
    assert search.run() is Ended.NONE
    assert estimate(search).words == "not even one person meets the objectives"


def test_the_load_generator_is_the_limit() -> None:
    def attempt(users: int, stretch: float) -> Step:
        outcome = Outcome.MET if users < 100 else Outcome.INSTRUMENT
        return Step(users, stretch, outcome, "loop lag")

    search = Search(attempt, Rules(start=10, most=1000))
    assert search.run() is Ended.INSTRUMENT
    found = estimate(search)
    assert (found.first, found.first_at) == (("instrument",), 160)
    assert found.words == (
        "the load generator gave way with 160 people (loop lag); "
        "at least 80 people meet the objectives"
    )


def test_one_moment_of_weakness_of_the_load_generator_is_forgiven() -> None:
    inner, weak = system(100), [3]

    def attempt(users: int, stretch: float) -> Step:
        weak[0] -= 1
        return Step(users, 1, Outcome.INSTRUMENT) if not weak[0] else inner(users, stretch)

    assert Search(attempt, Rules(start=10, most=1000)).run() is Ended.FOUND


def test_too_few_samples_lengthen_the_step_and_then_end_it() -> None:
    def attempt(users: int, stretch: float) -> Step:
        return Step(users, stretch, Outcome.FEW, "12 samples, 20 are wanted")

    search = Search(attempt, Rules(start=10, most=20))
    assert search.run() is Ended.FEW
    assert [(each.users, each.seconds) for each in search.steps] == [
        (10, 1), (20, 1), (20, 2), (20, 4), (20, 8),
    ]  # fmt: skip
    found = estimate(search)
    assert found.users is None
    assert found.words == "no number of people could be judged: 12 samples, 20 are wanted"


def test_what_gives_way_first_is_what_broke_with_the_fewest() -> None:
    many = Step(80, 1, Outcome.MISSED, broken=(("errors", "error.ratio", 9.0),))
    few = Step(50, 1, Outcome.MISSED, broken=(("latency", "a", 1.2), ("throttled", "b", 3.0)))
    assert gave_way_first([many, few]) == (50, ["throttled", "latency"])
    assert gave_way_first([]) == (None, [])


@given(strategies.floats(0.1, 100), strategies.floats(0.001, 0.2), strategies.floats(1e-6, 0.001))
def test_the_law_is_found_again(rate: float, sigma: float, kappa: float) -> None:
    law = Law(rate, sigma, kappa)
    found = fit([(users, law.throughput(users)) for users in (1, 5, 10, 20, 40, 80, 160)])
    assert found is not None
    assert math.isclose(found.rate, rate, rel_tol=1e-3)
    assert math.isclose(found.sigma, sigma, rel_tol=1e-2, abs_tol=1e-5)
    assert math.isclose(found.kappa, kappa, rel_tol=1e-2, abs_tol=1e-7)


def test_peak_knee_and_ceiling() -> None:
    assert SIX.peak is not None
    around = [SIX.throughput(SIX.peak + step) for step in (-1, 0, 1)]
    assert max(around) == around[1] == SIX.ceiling
    assert SIX.knee == around[1] / SIX.rate
    straight = fit([(users, 3.0 * users) for users in (1, 2, 4, 8)])
    assert straight is not None
    assert (straight.knee, straight.ceiling) == (None, None)


def test_the_knee_of_noisy_steps_has_an_error() -> None:
    rng = random.Random(5)
    points = [
        (float(users), SIX.throughput(users) * rng.lognormvariate(0, 0.01))
        for users in (5, 10, 20, 40, 60, 80, 100)
    ]
    law, error = fit(points), knee_error(points)
    assert law is not None
    assert law.knee is not None
    assert SIX.knee is not None
    assert error is not None
    assert abs(law.knee - SIX.knee) < 4 * error + 1


def test_too_little_fits_nothing() -> None:
    assert fit([(1, 1.0), (2, 2.0), (4, 4.0)]) is None
    assert fit([]) is None
    assert knee_error([]) is None
    assert least_squares([[1.0, 1.0], [1.0, 1.0]], [1.0, 1.0]) is None
