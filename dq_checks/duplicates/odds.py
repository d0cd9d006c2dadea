"""The shipped settings as SQL expressions over the columns ``<name>_l`` and ``<name>_r`` of a pair.

Splink scores what a run compares.  For the few pairs of one record that a form asks about, planning
Splink's statements would cost more than the answer: here is what it would say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

from dq_checks.duplicates.model import Model


@dataclass(frozen=True, slots=True)
class Level:
    """``sql``: its condition, empty: otherwise.  ``odds``: one of what is missing."""

    label: str
    sql: str
    odds: float
    missing: bool

    @property
    def bits(self) -> float:
        """How many times as likely the level makes it that two records are one, as log2."""
        return log2(self.odds)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first level that holds counts."""

    name: str
    levels: Sequence[Level]

    @property
    def needs(self) -> frozenset[str]:
        """Columns of which a record must have one, or the first level, missing, holds."""
        first = self.levels[0]
        return frozenset(re.findall(r"(\w+)_r is null", first.sql) if first.missing else ())

    def case(self, values: Sequence[float]) -> str:
        """The value of the level that a pair reaches."""
        paired = list(zip(self.levels, values, strict=True))
        whens = "".join(f" when {each.sql} then {value!r}" for each, value in paired if each.sql)
        otherwise = next((value for each, value in paired if not each.sql), 1.0)
        return f"(case{whens} else {otherwise!r} end)"


def comparisons(model: Model) -> list[Comparison]:
    """What two records are compared by."""
    return [
        Comparison(
            each["output_column_name"], [_level(level) for level in each["comparison_levels"]]
        )
        for each in model.splink["comparisons"]
    ]


def _level(level: Mapping[str, Any]) -> Level:
    sql = "" if level["sql_condition"] == "ELSE" else level["sql_condition"]
    missing = level.get("is_null_level", False)
    odds = 1.0 if missing else level["m_probability"] / level["u_probability"]
    return Level(level["label_for_charts"], sql, odds, missing)


def prior_odds(model: Model) -> float:
    """The odds of a pair before anything is compared."""
    share = float(model.splink["probability_two_random_records_match"])
    return share / (1 - share)


def odds_of(model: Model) -> str:
    """The odds of a pair."""
    factors = [each.case([level.odds for level in each.levels]) for each in comparisons(model)]
    return " * ".join(f"{each}::double" for each in [repr(prior_odds(model)), *factors])
