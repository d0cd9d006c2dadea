"""What the seeder spoils, and how often: the one table of rates, and the bounds of clean data.

A rate is the share of an entity's rows that get the defect at ``defects=1.0``; the factor
multiplies it.  A row gets one defect at most, and the original of a duplicate gets none.  The
number planted is exactly ``floor(rate * factor * rows)``, see :func:`planned`.

Every planted defect has its row in the table ``defects``.  A fuzzy duplicate may by its own
change be blank or out of format too (a mobile written ``+86 138 ...``, an e-mail left out): then
it has a second truth row of that kind, so that "what should this rule find" is always one query
by entity, kind and field.  Those second rows come on top of :func:`planned`.
"""

from __future__ import annotations

from math import floor
from typing import NamedTuple

EXACT = "exact_duplicate"
FUZZY = "fuzzy_duplicate"
MISSING = "missing"
MALFORMED = "malformed"
STALE = "stale"
ORPHANED = "orphaned"
INCONSISTENT = "inconsistent"
KINDS = (EXACT, FUZZY, MISSING, MALFORMED, STALE, ORPHANED, INCONSISTENT)

MOBILE_PATTERN = r"^1[3-9][0-9]{9}$"
EMAIL_PATTERN = r"^[a-z0-9.]+@[a-z0-9-]+(\.[a-z0-9-]+)+$"
POSTCODE_PATTERN = r"^[0-9]{6}$"
PHONE_PATTERN = r"^0[0-9]{2,3}-[0-9]{8}$"

FRESH_DAYS = 365
"""A row that is not planted as stale was changed within this many days (open deals: 90)."""
STALE_DAYS = 730
"""A planted stale row was last changed longer ago than this; any limit between finds the same."""

MAX_FACTOR = 5.0


class Rate(NamedTuple):
    """One line of the table: which rows, what is wrong, in which field, how many, and how."""

    entity: str
    kind: str
    field: str | None
    share: float
    how: str


RATES: tuple[Rate, ...] = (
    Rate("contacts", EXACT, None, 0.010, "every business field equal, own id and times"),
    Rate("contacts", FUZZY, None, 0.020, "name, mobile, e-mail or address written otherwise"),
    Rate("contacts", MISSING, "email", 0.020, "half null, half blank"),
    Rate("contacts", MISSING, "mobile", 0.015, "half null, half blank"),
    Rate("contacts", MISSING, "name", 0.004, "blank"),
    Rate("contacts", MISSING, "owner_id", 0.008, "null"),
    Rate("contacts", MALFORMED, "email", 0.010, "no @, two @, no dot, a space inside"),
    Rate("contacts", MALFORMED, "mobile", 0.010, "a digit short or long, wrong start, a letter"),
    Rate("contacts", STALE, "updated_at", 0.020, "untouched for 2 to 4 years"),
    Rate("contacts", ORPHANED, "account_id", 0.008, "an account that never was"),
    Rate("contacts", INCONSISTENT, "updated_at", 0.004, "changed before it was created"),
    Rate("accounts", EXACT, None, 0.008, "every business field equal, own id and times"),
    Rate("accounts", FUZZY, None, 0.025, "name written otherwise, USCC equal or left out"),
    Rate("accounts", MISSING, "uscc", 0.020, "half null, half blank"),
    Rate("accounts", MISSING, "name", 0.003, "blank"),
    Rate("accounts", MISSING, "owner_id", 0.008, "null"),
    Rate("accounts", MALFORMED, "uscc", 0.012, "wrong check character"),
    Rate("accounts", MALFORMED, "postcode", 0.010, "five digits, seven digits, a letter"),
    Rate("accounts", INCONSISTENT, "updated_at", 0.004, "changed before it was created"),
    Rate("leads", EXACT, None, 0.010, "every business field equal, own id and times"),
    Rate("leads", FUZZY, None, 0.020, "name, company, mobile or e-mail written otherwise"),
    Rate("leads", MISSING, "email", 0.020, "half null, half blank"),
    Rate("leads", MISSING, "mobile", 0.015, "half null, half blank"),
    Rate("leads", MISSING, "company", 0.010, "half null, half blank"),
    Rate("leads", MISSING, "owner_id", 0.008, "null"),
    Rate("leads", MALFORMED, "email", 0.010, "as for contacts"),
    Rate("leads", MALFORMED, "mobile", 0.010, "as for contacts"),
    Rate("deals", MISSING, "owner_id", 0.008, "null"),
    Rate("deals", STALE, "updated_at", 0.030, "open, untouched for 2 to 4 years"),
    Rate("deals", ORPHANED, "account_id", 0.010, "an account that never was"),
    Rate("deals", INCONSISTENT, "close_date", 0.010, "closes before the deal was created"),
    Rate("deals", INCONSISTENT, "amount", 0.010, "won without an amount"),
    Rate("deals", INCONSISTENT, "updated_at", 0.004, "changed before it was created"),
    Rate("activities", ORPHANED, "account_id", 0.005, "an account that never was"),
    Rate("cases", ORPHANED, "account_id", 0.005, "an account that never was"),
)


class Lookalike(NamedTuple):
    """A hard negative: two rows that look alike and are not the same; not scaled by the factor."""

    entity: str
    kind: str
    share: float
    how: str


LOOKALIKES: tuple[Lookalike, ...] = (
    Lookalike("accounts", "subsidiary", 0.020, "its group's brand and site, own trade and USCC"),
    Lookalike("accounts", "branch", 0.020, "its head office's name plus 分公司, own USCC"),
    Lookalike("contacts", "switchboard", 0.020, "same account and switchboard, another person"),
    Lookalike("contacts", "family", 0.010, "father and son: same surname, address and account"),
    Lookalike("contacts", "namesake", 0.010, "same common name at another company"),
)


def of_entity(entity: str) -> tuple[Rate, ...]:
    """The lines of the table for one entity."""
    return tuple(rate for rate in RATES if rate.entity == entity)


def upto(share: float, factor: float, rows: int) -> int:
    """How many of the first ``rows`` rows get a defect of this share; never steps back."""
    # The tiny addend heals 0.01 * 3 * 100 = 2.9999999999999996.
    return floor(share * factor * rows + 1e-9)


def planned(entity: str, rows: int, factor: float) -> dict[tuple[str, str | None], int]:
    """Defects planted in ``rows`` rows of an entity, by (kind, field); the same at every seed."""
    return {(r.kind, r.field): upto(r.share, factor, rows) for r in of_entity(entity)}
