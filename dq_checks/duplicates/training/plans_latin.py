"""What people and companies in Latin script are compared by."""

from __future__ import annotations

from dq_checks.duplicates.training.parts import (
    Comparison,
    Holders,
    Level,
    Plan,
    alike,
    both,
    either,
    few,
    missing,
    same,
    slips,
)
from dq_checks.duplicates.training.plans_shared import BIRTH, EMAIL, NUMBER

_ANY_PHONE = either(same("mobile"), same("phone"), "mobile_l = phone_r", "phone_l = mobile_r")
_SEVEN = either(
    "right(coalesce(mobile_l, phone_l), 7) = right(coalesce(mobile_r, phone_r), 7)",
    "right(phone_l, 7) = right(phone_r, 7)",
)
_SWAPPED = both(
    "jaro_winkler_similarity(given_l, surname_r) >= 0.85",
    "jaro_winkler_similarity(surname_l, given_r) >= 0.85",
)
_HALF_SWAPPED = either("given_l = surname_r", "surname_l = given_r")
_LATIN_PERSON = [
    Comparison(
        "given",
        missing("given"),
        [
            Level("same", same("given"), 3.5),
            Level("swapped", _SWAPPED, 4),
            Level("alike", either(alike("given", 0.92), slips("given", 1)), 3),
            Level(
                "initial",
                "least(length(given_l), length(given_r)) = 1"
                " and left(given_l, 1) = left(given_r, 1)",
                1.5,
            ),
            Level("somewhat alike", alike("given", 0.8), 0.5),
            Level("half swapped", _HALF_SWAPPED, 1.5),
        ],
        -3.5,
    ),
    Comparison(
        "surname",
        missing("surname"),
        [
            Level("same, rare", both(same("surname"), few("surname", 20)), 6),
            Level("same", same("surname"), 4.5),
            Level("swapped", _SWAPPED, 4),
            Level("alike", either(alike("surname", 0.92), slips("surname", 1)), 4),
            Level("somewhat alike", alike("surname", 0.8), 1),
            Level("half swapped", _HALF_SWAPPED, 1.5),
        ],
        -3.5,
    ),
]
_LATIN_PLACE = Comparison(
    "place",
    missing("postcode", "city"),
    [
        Level("same", both(same("postcode"), same("city")), 4),
        Level("same postcode", same("postcode"), 3),
        Level("same city", same("city"), 2.5),
        Level("city alike", alike("city", 0.9), 2),
        Level("postcode with one slip", slips("postcode", 1), 1),
    ],
    -2,
)
_LINES_SWAPPED = either(
    "jaro_winkler_similarity(street_l, street2_r) >= 0.85",
    "jaro_winkler_similarity(street2_l, street_r) >= 0.85",
)
LATIN_CONTACT = Plan(
    keys=[
        ["email"],
        ["mobile"],
        ["number"],
        ["right(phone, 7)", "left(surname, 1)"],
        ["given", "surname", "birth"],
        ["given", "surname", "coalesce(postcode, city)"],
        ["given", "surname", "company"],
        ["surname", "company"],
        ["surname", "house"],
        ["street", "surname"],
        ["street", "given"],
        ["house", "street"],
        ["birth"],
        ["surname", "postcode"],
        ["given", "house"],
        ["given", "postcode"],
        ["postcode", "house"],
        ["given", "surname"],
        ["surname", "given"],
        ["right(birth, 4)", "surname"],
        ["left(birth, 4)", "surname"],
        ["left(birth, 4)", "postcode"],
        ["right(birth, 4)", "postcode"],
        ["right(birth, 4)", "given"],
        ["left(birth, 4)", "given"],
        ["left(surname, 4)", "postcode"],
        ["surname", "city"],
        ["given", "city"],
        ["city", "house"],
        ["street", "postcode"],
        ["left(number, 4)", "left(given, 1)"],
        ["right(number, 4)", "left(surname, 1)"],
        ["left(given, 3)", "left(surname, 3)"],
        ["left(given, 2)", "left(surname, 2)", "left(postcode, 2)"],
    ],
    holders=[
        Holders("phone", "left(given, 2) || left(surname, 2)"),
        Holders("email", "left(given, 2) || left(surname, 2)"),
        Holders("surname", "row"),
    ],
    comparisons=[
        *_LATIN_PERSON,
        BIRTH,
        NUMBER,
        Comparison(
            "street",
            missing("street", "street2"),
            [
                Level("same house", both(same("house"), same("street")), 5),
                Level("same house, alike", both(same("house"), alike("street", 0.85)), 4),
                Level("same street", same("street"), 3),
                Level("lines swapped, same house", both(same("house"), _LINES_SWAPPED), 4),
                Level("lines swapped", _LINES_SWAPPED, 3),
                Level("alike", alike("street", 0.9), 2.5),
                Level("second line alike", alike("street2", 0.9), 2),
                Level("somewhat alike", alike("street", 0.75), 0.5),
            ],
            -2,
        ),
        _LATIN_PLACE,
        EMAIL,
        Comparison(
            "phone",
            missing("mobile", "phone"),
            [
                Level("same", both(_ANY_PHONE, few("phone", 3)), 7),
                Level("same, shared by many", _ANY_PHONE, 1.5),
                Level("same seven digits", _SEVEN, 2),
                Level("one slip", either(slips("mobile", 1), slips("phone", 1)), 3),
            ],
            -1.5,
        ),
        Comparison(
            "company",
            missing("company"),
            [
                Level("same", same("company"), 3),
                Level("alike", alike("company", 0.9), 2.5),
            ],
            -1.5,
        ),
    ],
)
_SITE = both(
    same("house"),
    either(
        alike("street", 0.93), "starts_with(street_l, street_r)", "starts_with(street_r, street_l)"
    ),
)
_SAME_WAY = "coalesce(way_l = way_r, true)"
_COMMON = "len(list_intersect(rare_l, rare_r))"
_LATIN_WORDS = Comparison(
    "name",
    missing("words"),
    [
        Level("same", same("words"), 6),
        Level(
            "rare words contained",
            f"{_COMMON} >= 1 and {_COMMON} = least(len(rare_l), len(rare_r))",
            4,
        ),
        Level("alike", alike("name", 0.92), 4),
        Level("two rare words", f"{_COMMON} >= 2", 3),
        Level("a rare word", f"{_COMMON} >= 1", 1.5),
        Level("somewhat alike", alike("name", 0.85), 0.5),
    ],
    -3,
)
LATIN_ACCOUNT = Plan(
    keys=[
        ["number"],
        ["email"],
        ["right(phone, 7)"],
        ["words", "coalesce(postcode, city)"],
        ["house", "left(street, 4)"],
        ["words"],
        ["host", "left(name, 3)"],
        ["left(name, 8)", "postcode"],
        ["house", "postcode"],
        ["rare[1]"],
        ["rare[2]"],
        ["host"],
        ["left(name, 6)"],
    ],
    holders=[
        Holders("phone", "left(name, 4)"),
        Holders("street", "left(name, 4)"),
        Holders("host", "left(name, 4)"),
        Holders("email", "left(name, 4)"),
    ],
    comparisons=[
        _LATIN_WORDS,
        Comparison(
            "site",
            missing("street", "house"),
            [
                Level("same", both(_SITE, _SAME_WAY), 9),
                Level("other way", _SITE, 1),
                Level("same house, somewhat alike", both(same("house"), alike("street", 0.8)), 4),
                Level("house with one slip", both(slips("house", 1), alike("street", 0.93)), 1),
                Level("same street", alike("street", 0.93), -1),
                Level("no house", "house_l is null or house_r is null", -1),
            ],
            -5,
        ),
        Comparison(
            "place",
            missing("postcode", "city"),
            [
                Level("same", either(same("postcode"), same("city")), 1.5),
                Level("postcode with one slip", slips("postcode", 1), 0.5),
            ],
            -3,
        ),
        Comparison(
            "phone",
            missing("phone"),
            [
                Level("same", both("right(phone_l, 7) = right(phone_r, 7)", few("phone", 3)), 5),
                Level("same, shared by many", "right(phone_l, 7) = right(phone_r, 7)", 2),
                Level("one slip", slips("phone", 1), 3),
            ],
            -1.5,
        ),
        Comparison(
            "host",
            missing("host"),
            [
                Level("same", both(same("host"), few("host", 3)), 4),
                Level("same, shared by many", same("host"), 1),
            ],
            -0.5,
        ),
        EMAIL,
        NUMBER,
    ],
)
