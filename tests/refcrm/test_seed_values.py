"""The identifiers and the planning behind the seeder, without a database."""

from __future__ import annotations

import itertools
import random
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcrm.seed import accounts, codes, contacts, deals, leads, rates, service, spoil, words
from refcrm.seed.pools import make_pools
from refcrm.seed.world import Clock, Owner, World, table_sizes

NUMBERS = st.integers(min_value=0, max_value=10**6)
POOLS = make_pools(1)
OWNERS = (Owner(4, 0, "华东"), Owner(5, 1, "华南"))
CLOCK = Clock(datetime(2026, 6, 1, tzinfo=UTC))


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.integers(min_value=0, max_value=10**9))
def test_different_numbers_never_meet(one: int, other: int, salt: int) -> None:
    if one == other:
        return
    assert codes.mobile(one, salt) != codes.mobile(other, salt)
    assert codes.uscc(one, "310115", salt) != codes.uscc(other, "310115", salt)
    mistyped = codes.mistyped_mobile(codes.mobile(one, salt))
    assert mistyped != codes.mobile(other, salt)
    assert mistyped != codes.mistyped_mobile(codes.mobile(other, salt))


@settings(deadline=None)
@given(NUMBERS)
def test_a_mistyped_mobile_is_well_formed_and_one_digit_off(number: int) -> None:
    good = codes.mobile(number, 3)
    bad = codes.mistyped_mobile(good)
    assert re.fullmatch(rates.MOBILE_PATTERN, bad)
    assert sum(a != b for a, b in zip(good, bad, strict=True)) == 1


@pytest.mark.parametrize(
    ("code", "right"),
    [("91440300708461136T", True), ("91440300708461136X", False), ("91350100M000100Y43", True)],
)
def test_uscc_check_character_of_known_codes(code: str, right: bool) -> None:
    assert (codes.uscc_check(code[:17]) == code[17]) is right


@settings(deadline=None)
@given(NUMBERS, st.sampled_from(sorted({c.code for r in words.REGIONS.values() for c in r})))
def test_uscc_has_both_check_characters(number: int, place: str) -> None:
    code = codes.uscc(number, place, 11)
    assert code[2:8] == place
    assert codes.uscc_check(code[:17]) == code[17]
    assert codes.organisation_check(code[8:16]) == code[16]
    wrong = codes.wrong_uscc(code)
    assert wrong[:17] == code[:17]
    assert codes.uscc_check(wrong[:17]) != wrong[17]


def test_organisation_check_of_a_known_code() -> None:
    # D2143569-X is the worked example of GB 11714.
    assert codes.organisation_check("D2143569") == "X"


@settings(deadline=None)
@given(NUMBERS, st.integers(min_value=0, max_value=2**32))
def test_malformed_values_break_their_pattern(number: int, chance: int) -> None:
    rng, mobile = random.Random(chance), codes.mobile(number, 1)
    email = f"xiaoming.wang.{codes.base36(number)}@huaxin-3.com.cn"
    assert re.fullmatch(rates.EMAIL_PATTERN, email)
    assert not re.fullmatch(rates.MOBILE_PATTERN, spoil.malformed_mobile(mobile, rng))
    assert not re.fullmatch(rates.EMAIL_PATTERN, spoil.malformed_email(email, rng))
    assert not re.fullmatch(rates.POSTCODE_PATTERN, spoil.malformed_postcode("200120", rng))
    assert not re.fullmatch(rates.MOBILE_PATTERN, spoil.rewritten_mobile(mobile, rng))
    assert re.fullmatch(rates.EMAIL_PATTERN, spoil.mistyped_email(email))


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_written_otherwise_is_never_the_same(chance: int) -> None:
    rng = random.Random(chance)
    for name in ("王小明", "欧阳静", "Anna Smith", "司徒"):
        assert spoil.other_person(name, rng) != name
    for name in ("上海华盛鑫科技有限公司", "上海云海龙贸易集团有限公司", "Lee Cox Kim Foods GmbH"):
        assert spoil.other_company(name, "上海", rng) != name


def test_a_group_never_loses_the_word_group() -> None:
    name, rng = "上海云海龙贸易集团有限公司", random.Random(1)
    written = {spoil.other_company(name, "上海", rng) for _ in range(200)}
    assert len(written) >= 6
    assert all("集" in form for form in written)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(min_value=1, max_value=250),
    st.floats(min_value=0, max_value=rates.MAX_FACTOR),
    st.integers(min_value=0, max_value=1000),
)
def test_every_size_and_factor_can_be_made(rows: int, factor: float, seed: int) -> None:
    world = World(seed, factor, CLOCK, POOLS, table_sizes(rows), 2, OWNERS, OWNERS, seed)
    planted = 0
    for number in range(world.blocks):
        block = world.block(number)
        if not block.rows("contacts"):
            continue
        firms, sound = accounts.make(block)
        if not firms:
            continue
        persons, known = contacts.make(block, firms)
        assert len(persons) == len(block.rows("contacts"))
        leads.make(block, sound, known)
        _, offers = deals.make(block, known)
        _, quoted = deals.quotes(block, offers)
        deals.orders(block, quoted)
        service.activities(block, known, offers)
        service.cases(block, known)
        planted += sum(1 for one in block.truth if one.kind == rates.ORPHANED)
    assert planted >= 0


def test_planned_counts_add_up_over_any_split() -> None:
    for rate in rates.RATES:
        total = rates.upto(rate.share, 3.0, 9_973)
        edges = [0, 1, 77, 5_000, 9_972, 9_973]
        steps = itertools.pairwise(edges)
        parts = [rates.upto(rate.share, 3.0, b) - rates.upto(rate.share, 3.0, a) for a, b in steps]
        assert sum(parts) == total
        assert min(parts) >= 0


def test_clean_formats_hold_for_every_account() -> None:
    world = World(3, 0.0, CLOCK, POOLS, table_sizes(2_000), 1, OWNERS, OWNERS, 5)
    made, _ = accounts.make(world.block(0))
    assert all(re.fullmatch(rates.PHONE_PATTERN, one.phone) for one in made)
    assert all(re.fullmatch(rates.POSTCODE_PATTERN, one.postcode) for one in made)
    assert len({one.uscc for one in made}) == len(made)
    assert len({one.name for one in made}) == len(made)


def test_the_documentation_shows_the_table_of_rates() -> None:
    page = (Path(__file__).parents[2] / "docs" / "refcrm-data.md").read_text(encoding="utf-8")
    for rate in rates.RATES:
        name = rate.field or "whole record"
        line = f"| {rate.entity} | {rate.kind} | {name} | {rate.share:.1%} | {rate.how} |"
        assert line in page
    for look in rates.LOOKALIKES:
        assert f"| {look.entity} | {look.kind} | {look.share:.1%} | {look.how} |" in page
