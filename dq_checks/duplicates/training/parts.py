"""The words that comparisons are written in: levels in Splink's SQL, from sure to other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """``bits``: log2 of how much likelier the same record is than another; what training starts at.

    Training keeps the sign of ``bits`` and stays within a factor of it.
    """

    label: str
    sql: str
    bits: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first level that holds counts.  ``missing`` weighs nothing."""

    name: str
    missing: str
    levels: Sequence[Level]
    otherwise: float


@dataclass(frozen=True, slots=True)
class Holders:
    """How many different values of ``of`` a value of ``column`` is seen with: ``<column>_n``.

    A switchboard is seen with many people, an office tower with many companies.
    """

    column: str
    of: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known before training.  ``keys``: what to block on, narrow first."""

    keys: Sequence[Sequence[str]]
    holders: Sequence[Holders]
    comparisons: Sequence[Comparison]
    prior: float = -8.0
    threshold: float = 0.5


def missing(*columns: str) -> str:
    """Nothing to compare: one side has none of the columns."""
    left = " and ".join(f"{each}_l is null" for each in columns)
    right = " and ".join(f"{each}_r is null" for each in columns)
    return f"({left}) or ({right})"


def same(column: str) -> str:
    """Equal."""
    return f"{column}_l = {column}_r"


def alike(column: str, share: float) -> str:
    """Jaro-Winkler similarity of at least ``share``."""
    return f"jaro_winkler_similarity({column}_l, {column}_r) >= {share}"


def slips(column: str, number: int) -> str:
    """At most so many letters typed wrongly, swapped, left out or added; letters are bytes.

    A microsecond and a half for DuckDB's damerau_levenshtein is too much for every pair: texts of
    one length are counted letter by letter (0.03) first, others by levenshtein (0.25).  DuckDB
    stops at the first condition that decides only where AND and OR stand by themselves, not inside
    a CASE; hamming refuses texts of two lengths.
    """
    ends = f"({column}_l, {column}_r)"
    lengths = f"strlen({column}_l)", f"strlen({column}_r)"
    wrong = f"case when {lengths[0]} = {lengths[1]} then hamming{ends} else 99 end"
    return either(
        both(
            f"{wrong} <= {2 * number}",
            either(f"{wrong} <= {number}", f"damerau_levenshtein{ends} <= {number}"),
        ),
        both(
            f"{lengths[0]} <> {lengths[1]}",
            f"abs({lengths[0]} - {lengths[1]}) <= {number}",
            f"levenshtein{ends} <= {number}",
        ),
    )


def few(column: str, number: int) -> str:
    """Either side's value is seen with at most ``number`` others."""
    return f"greatest({column}_n_l, {column}_n_r) <= {number}"


def both(*conditions: str) -> str:
    """All of the conditions."""
    return " and ".join(f"({each})" for each in conditions)


def either(*conditions: str) -> str:
    """One of the conditions."""
    return " or ".join(f"({each})" for each in conditions)
