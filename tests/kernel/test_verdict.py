"""No data is not good news: properties of the one function that judges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.record import Measure, Unit, Verdict
from crmops.verdict import Objective, judge, worst

names = st.sampled_from(["p95", "error.ratio", "rows"])
values = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
measures = st.builds(
    Measure, name=names, value=values, unit=st.sampled_from(Unit), observed=st.integers(0, 50)
)
objectives = st.builds(
    Objective,
    measure=names,
    op=st.sampled_from(["<=", ">=", "<", ">", "=="]),
    limit=st.floats(-1e6, 1e6),
    unit=st.one_of(st.none(), st.sampled_from(Unit)),
    minimum_samples=st.integers(1, 50),
)


@given(st.lists(measures, max_size=6), st.lists(objectives, max_size=4))
def test_pass_means_every_objective_was_met_by_enough_finite_samples(
    found: list[Measure], wanted: list[Objective]
) -> None:
    judgement = judge(found, wanted)
    if judgement.verdict is not Verdict.PASS:
        return
    assert wanted
    last = {each.name: each for each in found}
    for each in wanted:
        measure = last[each.measure]
        assert measure.value is not None and math.isfinite(measure.value)
        assert measure.observed >= each.minimum_samples
        assert each.unit in (None, measure.unit)
        assert eval(f"{measure.value!r} {each.op} {each.limit!r}")


@given(st.lists(measures, max_size=6), st.lists(objectives, min_size=1, max_size=4))
def test_every_objective_gets_a_check_and_the_worst_decides(
    found: list[Measure], wanted: list[Objective]
) -> None:
    judgement = judge(found, wanted)
    assert len(judgement.checks) == len(wanted)
    assert judgement.verdict is worst(check.verdict for check in judgement.checks)
    assert judgement.reason


@given(st.lists(measures, max_size=6))
def test_without_objectives_nothing_passes(found: list[Measure]) -> None:
    assert judge(found, []).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_value_that_is_none_or_not_finite_is_unknown(value: float | None) -> None:
    measure = Measure(name="p95", value=value, unit=Unit.SECONDS, observed=1000)
    judgement = judge([measure], [Objective(measure="p95", limit=1)])
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.reason == "p95 has no value"


def test_too_few_samples_say_how_many_are_wanted() -> None:
    measure = Measure(name="p99", value=0.1, unit=Unit.SECONDS, observed=999)
    judgement = judge([measure], [Objective(measure="p99", limit=1, minimum_samples=1000)])
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.reason == "p99 rests on 999 samples, 1000 are wanted"


def test_a_breach_outweighs_a_gap() -> None:
    measure = Measure(name="p95", value=2, unit=Unit.SECONDS, observed=10)
    judgement = judge(
        [measure], [Objective(measure="p95", limit=1), Objective(measure="p99", limit=1)]
    )
    assert judgement.verdict is Verdict.FAIL
    assert judgement.reason == "p95 is 2, not <= 1"
    assert judgement.checks[0].margin == -1


def test_another_unit_is_unknown() -> None:
    measure = Measure(name="p95", value=0.5, unit=Unit.RATIO, observed=10)
    wanted = Objective(measure="p95", limit=1, unit=Unit.SECONDS)
    assert judge([measure], [wanted]).reason == "p95 is in ratio, not seconds"


def test_worst_of_nothing_is_unknown() -> None:
    assert worst([]) is Verdict.UNKNOWN
    assert worst([Verdict.PASS, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert worst([Verdict.FAIL, Verdict.UNKNOWN, Verdict.ERROR]) is Verdict.ERROR
