"""What Chinese people and companies are compared by."""

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

_KIN = "left(person_l, 1) = left(person_r, 1)"
CHINESE_CONTACT = Plan(
    keys=[
        ["mobile"],
        ["email"],
        ["number"],
        ["company", "person"],
        ["phone", "left(person, 1)"],
        ["person", "birth"],
        ["left(company, 3)", "person"],
        ["company", "left(person, 1)", "coalesce(city, '')"],
        ["person", "city"],
        ["left(mobile, 7)", "left(person, 1)"],
        ["right(mobile, 7)", "left(person, 1)"],
        ["company", "city"],
        ["person", "left(mobile, 3)"],
        ["person"],
    ],
    holders=[
        Holders("phone", "person"),
        Holders("mobile", "person"),
        Holders("email", "person"),
        Holders("person", "row"),
        Holders("company", "row"),
    ],
    comparisons=[
        Comparison(
            "person",
            missing("person"),
            [
                Level("same, rare", both(same("person"), few("person", 5)), 7),
                Level("same", both(same("person"), few("person", 50)), 5),
                Level("same, common", same("person"), 3.5),
                Level(
                    "surname only",
                    both(_KIN, "least(length(person_l), length(person_r)) = 1"),
                    1,
                ),
                Level(
                    "one slip of three",
                    both(slips("person", 1), "least(length(person_l), length(person_r)) >= 3"),
                    1,
                ),
                Level("same surname", _KIN, -4),
            ],
            -6,
        ),
        Comparison(
            "mobile",
            missing("mobile"),
            [
                Level("same", both(same("mobile"), few("mobile", 3)), 10),
                Level("same, shared by many", same("mobile"), 4),
                Level("one slip", slips("mobile", 1), 6),
            ],
            -4,
        ),
        EMAIL,
        Comparison(
            "company",
            missing("company"),
            [
                Level("same", same("company"), 4),
                Level(
                    "contained",
                    either("contains(company_l, company_r)", "contains(company_r, company_l)"),
                    3,
                ),
                Level("alike", either(alike("company", 0.88), slips("company", 1)), 3),
                Level("somewhat alike", alike("company", 0.75), 0.5),
            ],
            -2.5,
        ),
        Comparison(
            "branch",
            missing("branch"),
            [Level("same", same("branch"), 0.5)],
            -2,
        ),
        Comparison(
            "phone",
            missing("phone"),
            [
                Level("same", both(same("phone"), few("phone", 3)), 4),
                Level("same, shared by many", same("phone"), 0.5),
                Level("same at the end", "right(phone_l, 7) = right(phone_r, 7)", 2),
            ],
            -0.5,
        ),
        Comparison("city", missing("city"), [Level("same", same("city"), 1)], -1.5),
        Comparison(
            "address",
            missing("address"),
            [Level("same", same("address"), 2), Level("alike", alike("address", 0.85), 1.5)],
            -0.5,
        ),
        BIRTH,
        NUMBER,
    ],
)
CHINESE_ACCOUNT = Plan(
    keys=[
        ["number"],
        ["email"],
        ["name", "coalesce(place, '')"],
        ["phone", "left(name, 2)"],
        ["name"],
        ["host", "left(name, 2)"],
        ["left(name, 4)", "coalesce(place, '')"],
        ["right(name, 4)", "coalesce(place, '')"],
        ["address"],
        ["phone"],
        ["host"],
        ["left(name, 4)"],
    ],
    holders=[
        Holders("phone", "left(name, 2)"),
        Holders("host", "left(name, 2)"),
        Holders("email", "left(name, 2)"),
        Holders("address", "left(name, 2)"),
        Holders("name", "row"),
    ],
    comparisons=[
        Comparison(
            "name",
            missing("name"),
            [
                Level("same, rare", both(same("name"), few("name", 5)), 7),
                Level("same, common", same("name"), 5),
                Level(
                    "contained",
                    both(
                        either("contains(name_l, name_r)", "contains(name_r, name_l)"),
                        "least(length(name_l), length(name_r)) >= 3",
                    ),
                    1,
                ),
                Level(
                    "one slip",
                    both(slips("name", 1), "least(length(name_l), length(name_r)) >= 4"),
                    3,
                ),
                Level("alike", alike("name", 0.9), 0.5),
                Level("somewhat alike", alike("name", 0.75), -2),
            ],
            -5,
        ),
        Comparison(
            "part",
            "false",
            [
                Level(
                    "the same part",
                    "branch_l is not distinct from branch_r"
                    " and grouped_l is not distinct from grouped_r",
                    0.2,
                ),
            ],
            -8,
        ),
        Comparison("place", missing("place"), [Level("same", same("place"), 1.5)], -4),
        NUMBER,
        Comparison(
            "phone",
            missing("phone"),
            [
                Level("same", both(same("phone"), few("phone", 3)), 5),
                Level("same, shared by many", same("phone"), 1.5),
                Level("same at the end", "right(phone_l, 7) = right(phone_r, 7)", 3),
                Level("one slip", slips("phone", 1), 3),
            ],
            -1.5,
        ),
        Comparison(
            "address",
            missing("address"),
            [
                Level("same", both(same("address"), few("address", 3)), 4),
                Level("same, shared by many", same("address"), 1.5),
                Level(
                    "alike", both(alike("address", 0.85), "coalesce(house_l = house_r, true)"), 3
                ),
                Level("somewhat alike", alike("address", 0.8), 0.5),
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
            -1,
        ),
        EMAIL,
    ],
)
