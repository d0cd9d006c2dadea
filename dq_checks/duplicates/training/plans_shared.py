"""Comparisons that every kind of record has."""

from __future__ import annotations

from dq_checks.duplicates.training.parts import (
    Comparison,
    Level,
    both,
    few,
    missing,
    same,
    slips,
)

BIRTH = Comparison(
    "birth",
    missing("birth"),
    [
        Level("same", same("birth"), 6),
        Level("one slip", slips("birth", 1), 4),
        Level(
            "day and month swapped",
            "left(birth_l, 4) = left(birth_r, 4) and right(birth_l, 2) = substr(birth_r, 5, 2)"
            " and right(birth_r, 2) = substr(birth_l, 5, 2)",
            3.5,
        ),
        Level("two slips", slips("birth", 2), 0.5),
    ],
    -4,
)
NUMBER = Comparison(
    "number",
    missing("number"),
    [
        Level("same", same("number"), 10),
        Level("one slip", slips("number", 1), 6),
        Level("two slips", slips("number", 2), 2),
    ],
    -4,
)
EMAIL = Comparison(
    "email",
    missing("email"),
    [
        Level("same", both(same("email"), few("email", 3)), 9),
        Level("same, shared by many", same("email"), 2),
        Level("one slip", slips("email", 1), 6),
        Level(
            "same before the @",
            "length(split_part(email_l, '@', 1)) >= 5"
            " and split_part(email_l, '@', 1) = split_part(email_r, '@', 1)",
            2,
        ),
    ],
    -2.5,
)
