"""Scores are sums before division: they can be regrouped, and nothing scores nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dq_checks.catalogue import find_suites
from dq_checks.formats import CHECK_DIGITS, CHECK_SUMS, FORMATS
from dq_checks.messages import Count
from dq_checks.scores import Result, by_dimension, measures, score
from dq_checks.suite import Rule
from tests.dq_checks.support import rule

DIMENSIONS = ("completeness", "uniqueness", "validity", "consistency")


@st.composite
def results(draw: st.DrawFn) -> list[Result]:
    found = []
    for number in range(draw(st.integers(0, 8))):
        made = rule(
            f"r.r{number}",
            "filled",
            column="c",
            weight=draw(st.floats(0.1, 10)),
            threshold=draw(st.floats(0, 1)),
            dimension=draw(st.sampled_from(DIMENSIONS)),
        )
        checked = draw(st.integers(0, 1000))
        status = draw(st.sampled_from(("counted", "counted", "error")))
        good = draw(st.integers(0, checked))
        count = Count.model_validate(
            {"rule": made["id"], "status": status, "checked": checked, "good": good}
        )
        found.append(Result(Rule.model_validate(made), count))
    return found


@given(results())
def test_a_score_can_be_put_together_from_its_parts(found: list[Result]) -> None:
    overall, elements = score(found)
    assert elements == sum(r.count.checked for r in found if r.count.status == "counted")
    assert (overall is None) == (elements == 0)
    if overall is None:
        return
    assert -1e-9 <= overall <= 1 + 1e-9
    good = weighed = 0.0
    for dimension, (value, seen) in by_dimension(found).items():
        part = [r for r in found if r.scored and r.rule.dimension == dimension]
        assert seen == sum(r.count.checked for r in part)
        weight = sum(r.rule.weight * r.count.checked for r in part)
        good += (value or 0.0) * weight
        weighed += weight
    assert overall == pytest.approx(good / weighed)


@given(results())
def test_neither_an_error_nor_an_empty_rule_ever_scores(found: list[Result]) -> None:
    silent = [r for r in found if r.status in ("error", "unknown")]
    assert score(silent) == (None, 0)
    assert score(found) == score(r for r in found if r not in silent)
    by_name = {each.name: each for each in measures(10, found)}
    for each in silent:
        for stem in ("rule.score", "rule.bad"):
            made = by_name[f"{stem}{{{each.rule.id}}}"]
            assert (made.value, made.observed) == (None, 0)
    counted = [by_name[f"rules.{each}"].value for each in ("failed", "error", "unknown")]
    assert counted == [sum(r.status == s for r in found) for s in ("failed", "error", "unknown")]


CODES = [
    ("uscc", "91440300708461136T", True),
    ("uscc", "91440300708461136X", False),
    ("uscc", "91110000600037341L", True),
    ("resident_id", "11010519491231002X", True),
    ("resident_id", "440524188001010014", True),
    ("resident_id", "110105194912310021", False),
    ("resident_id", "110105194912130021", False),
]


@pytest.mark.parametrize(("name", "code", "right"), CODES)
def test_check_characters(name: str, code: str, right: bool) -> None:
    alphabet, weights, modulus, remainder = CHECK_SUMS[name]
    values = [alphabet.index(each) for each in code]
    total = sum(value * weight for value, weight in zip(values, weights, strict=True))
    assert (total % modulus == remainder) is right
    assert re.fullmatch(CHECK_DIGITS[name], code)


def test_weights_of_a_resident_id_are_those_of_the_standard() -> None:
    wanted = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)
    assert CHECK_SUMS["resident_id"][1] == wanted


FORM = [
    ("email", "CN", ["a@b.cn", "a.b+c@x-y.com.cn"], ["a", "a@@b.cn", "a@b", "a b@c.cn", "a.@b.cn"]),
    ("mobile", "CN", ["13800000001"], ["+8613800000001", "1380000000", "23800000001",
                                       "138 0000 0001", "１３８00000001"]),
    ("phone", "CN", ["0755-12345678", "010-12345678-801", "400-123-4567", "13800000001"],
     ["7451234", "12345678", "0755/12345678"]),
    ("phone", "US", ["7735551234", "773-555-1234", "(773) 555-1234", "+1 773 555 1234", "5551234",
                     "555-1234 x12"], ["1551234", "77355512345", "13800000001", "0755-12345678"]),
    ("postcode", "CN", ["518000"], ["51800", "5180000", "51800O"]),
    ("postcode", "US", ["60302", "60302-1234"], ["6030", "603022"]),
    ("url", "CN", ["https://www.x.cn", "x.com/a?b=c", "HTTP://x.cn:80/".replace("HTTP", "http")],
     ["x", "http//x.cn", "a b.cn", "https://"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "country", "good", "bad"), FORM)
def test_formats(name: str, country: str, good: list[str], bad: list[str]) -> None:
    pattern = re.compile(FORMATS[name][country], re.ASCII)  # type: ignore[index]
    assert [each for each in good if not pattern.fullmatch(each)] == []
    assert [each for each in bad if pattern.fullmatch(each)] == []


def test_shipped_suites_say_who_and_how_much() -> None:
    suites = find_suites()
    assert {"accounts", "contacts"} <= set(suites)
    ids = [rule.id for each in suites.values() for rule in each.rules]
    assert len(ids) == len(set(ids))
    for each in suites.values():
        for one in each.rules:
            assert one.id.startswith(f"{each.name}.") and one.owner and one.title
