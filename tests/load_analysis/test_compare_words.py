"""Whether a comparison finds what was planted, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.compare.cli import compare_loads
from loadtests.compare.table import Comparison
from loadtests.compare.words import Rules, Word

from .made_up import MEDIANS, load

RULES = Rules(draws=300)


def compared(before: dict[str, Any], after: dict[str, Any], earlier: int = 0) -> Comparison:
    past = [load(seed) for seed in range(100, 100 + earlier)]
    one, two = load(1, **before), load(2, **after)
    return compare_loads(one, two, past, RULES)


def words(made: Comparison) -> dict[str, str]:
    return {each.operation: each.word.value for each in made.operations}


@pytest.mark.parametrize("seed", range(20))
def test_twenty_pairs_of_one_build_are_the_same(seed: int) -> None:
    one, two = load(2 * seed + 1000), load(2 * seed + 1001)
    assert compare_loads(one, two, [], RULES).word is Word.SAME


@pytest.mark.parametrize("seed", range(20))
def test_twenty_planted_regressions_are_worse_and_nothing_else_is(seed: int) -> None:
    one, two = load(2 * seed + 2000), load(2 * seed + 2001, extra={"deals.list": 0.030})
    found = words(compare_loads(one, two, [], RULES))
    assert {name for name, word in found.items() if word == "worse"} == {"deals.list"}


def test_less_is_better_and_the_reverse() -> None:
    made = compared({"extra": {"search": 0.03}}, {})
    assert (made.word, made.reason) == (Word.BETTER, "better: search")


def test_a_build_that_is_slower_everywhere_is_worse_everywhere() -> None:
    found = words(compared({}, {"factor": 2.5}))
    assert set(found.values()) == {"worse"}


def test_a_noisy_machine_hides_what_it_slows_alike_but_not_one_operation() -> None:
    past = [load(seed, factor=0.5 + seed % 5 / 2) for seed in range(8)]
    slower = compare_loads(load(1), load(2, factor=2.0), past, RULES)
    assert slower.word in (Word.SAME, Word.FEW)
    planted = load(3, factor=1.3, extra={"contacts.get": 0.03})
    assert words(compare_loads(load(1), planted, past, RULES))["contacts.get"] == "worse"


def test_quick_failures_are_no_improvement() -> None:
    made = compared({}, {"failing": {"search": 0.3}})
    assert words(made)["search"] == "worse"
    number = next(each for each in made.operations if each.operation == "search").differences[-1]
    assert number.statistic == "failed"
    assert number.low is not None
    assert number.low > 0.1


def test_everything_failing_is_worse_although_nothing_was_answered() -> None:
    assert words(compared({}, {"failing": {"search": 1.0}}))["search"] == "worse"


def test_too_few_samples_are_never_the_same() -> None:
    made = compared({}, {"response": []})
    assert made.word is Word.FEW
    assert set(words(made).values()) == {"too few samples"}
    nothing = compared({"response": []}, {"response": []})
    assert (nothing.word, nothing.reason) == (
        Word.FEW,
        "too few samples: no operation was called",
    )


def test_what_only_one_run_has_seen_leaves_it_undecided() -> None:
    one, two = load(1), load(2)
    two = type(two)(
        two.run,
        two.document,
        two.judged,
        {name: each for name, each in two.operations.items() if name != "search"},
    )
    made = compare_loads(one, two, [], RULES)
    assert (made.word, made.reason) == (Word.FEW, "too few samples: search")


def test_a_difference_too_small_to_matter_is_none() -> None:
    quiet = [load(seed) for seed in range(100, 110)]
    made = compare_loads(load(1), load(2, extra={"search": 0.0005}), quiet, RULES)
    assert words(made)["search"] == "same"


def test_the_document_says_what_the_objects_say() -> None:
    made = compared({}, {})
    plain = made.document()
    assert plain["word"] == made.word
    assert [each["operation"] for each in plain["operations"]] == [*words(made)]
    assert {*MEDIANS, "(all)"} == set(words(made))
