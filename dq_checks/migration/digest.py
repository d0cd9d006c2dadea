"""Digests of a side: one scan that yields, for every range of the key's hash, an order-free
digest of the rows and the sums of the fields.

Ranges are of the key's hash, not of the key: they are equally full whatever the keys look like,
and they do not depend on how an engine sorts text.  The digest of a range is the sum of 60 bits
of each row's hash, so neither order nor chunking matters, and duplicates count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from dq_checks.migration.compile import UNREADABLE, Compiled, serial, values_of
from dq_checks.migration.scratch import Scratch
from dq_checks.migration.sides import Side

_EXACT = Context(prec=80, traps=[])
"""Sums of sums: more digits than any has, and infinity minus infinity is NaN, no exception."""


@dataclass(frozen=True)
class View:
    """What is compared of a side: its key, its other fields, and which records."""

    side: Side
    key: tuple[Compiled, ...]
    fields: tuple[Compiled, ...]
    where: str = ""

    @property
    def all_fields(self) -> tuple[Compiled, ...]:
        """Key first."""
        return (*self.key, *self.fields)

    def select(self, what: str, condition: str = "", tail: str = "") -> str:
        """A SELECT over the records of the view."""
        conditions = " AND ".join(f"({each})" for each in (self.where, condition) if each)
        where = f" WHERE {conditions}" if conditions else ""
        return f"SELECT {what} FROM {self.side.relation}{where}{tail}"  # noqa: S608

    @property
    def key_text(self) -> str:
        """The key of a row as one text."""
        return serial(self.key, self.side.dialect)

    @property
    def row_digest(self) -> str:
        """The digest of one row, key included."""
        return self.side.dialect.digest(values_of(self.all_fields))

    @property
    def bucket(self) -> str:
        """The range that a row belongs to."""
        return self.side.dialect.bucket(values_of(self.key))


@dataclass
class Profile:
    """What the values of one field come to.  Sums and ends only for numbers and moments."""

    nulls: int = 0
    unreadable: int = 0
    unmapped: int = 0
    total: Decimal | None = None
    least: str | None = None
    most: str | None = None


@dataclass(frozen=True)
class Digests:
    """Rows and digest by range, profiles by field."""

    ranges: dict[str, tuple[int, int]]
    profiles: dict[str, Profile] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(number for number, _ in self.ranges.values())

    @property
    def whole(self) -> str:
        """SHA-256 over every range: equal exactly when all rows are, as far as 60 bits go."""
        lines = (f"{name} {n} {total}\n" for name, (n, total) in sorted(self.ranges.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def digest(view: View, scratch: Scratch, *, profiles: bool = True) -> Digests:
    """Scan a side once.  Raises CannotRun."""
    shown = view.all_fields if profiles else ()
    what, types = _columns(view, shown)
    table = f"digest_{view.side.label}"
    columns = {f"c{at}": each for at, each in enumerate(types)}
    view.side.into(table, view.select(what, tail=" GROUP BY 1"), columns)
    rows = scratch.database.cursor().execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
    found = {each.name: Profile() for each in shown}
    ranges = {}
    for name, number, total, *rest in rows:
        ranges[name] = (int(number), int(total))
        _add(found, shown, rest)
    return Digests(ranges, found)


def _columns(view: View, shown: Sequence[Compiled]) -> tuple[str, list[str]]:
    text = view.side.dialect.text
    wanted = [view.bucket, "count(*)", text(f"sum({view.row_digest})", "num")]
    types = ["VARCHAR", "BIGINT", "VARCHAR"]
    for each in shown:
        for expression in _counts(each):
            wanted.append(expression)
            types.append("BIGINT")
        for name in _folds(each):
            wanted.append(text(f"{name}({each.ordered})", each.family))
            types.append("VARCHAR")
    return ", ".join(wanted), types


def _counts(each: Compiled) -> list[str]:
    """Nulls; where it can be, values that could not be read, and values that a map lacks."""
    wanted = [f"count(*) - count({each.present})"]
    wanted += [] if each.native else [_count(f"{each.canonical} LIKE '{UNREADABLE}%'")]
    wanted += [_count(each.unmapped)] if each.unmapped else []
    return wanted


def _folds(each: Compiled) -> tuple[str, ...]:
    if each.sums:
        return ("sum", "min", "max")
    return ("min", "max") if each.ordered else ()


def _count(condition: str) -> str:
    return f"count(CASE WHEN {condition} THEN 1 END)"


def _add(found: dict[str, Profile], shown: Sequence[Compiled], cells: Sequence[Any]) -> None:
    """One range's aggregates, ordered as :func:`_counts` and :func:`_folds` are, on the others."""
    left = iter(cells)
    for each in shown:
        profile = found[each.name]
        profile.nulls += int(next(left))
        if not each.native:
            profile.unreadable += int(next(left))
        if each.unmapped:
            profile.unmapped += int(next(left))
        if each.sums:
            total = next(left)
            if total is not None:
                profile.total = _EXACT.add(profile.total or Decimal(0), Decimal(total))
        if each.ordered:
            order = _number if each.sums else str
            low, high = next(left), next(left)
            if low is not None:
                ends = [end for end in (profile.least, low) if end is not None]
                profile.least = min(ends, key=order)
                ends = [end for end in (profile.most, high) if end is not None]
                profile.most = max(ends, key=order)


def _number(text: str) -> Decimal:
    """PostgreSQL's NaN is its greatest number; Decimal would refuse to compare it."""
    number = Decimal(text)
    return Decimal("Infinity") if number.is_nan() else number
