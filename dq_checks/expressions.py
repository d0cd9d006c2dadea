"""Terms as SQL expressions, given what kind of value each column holds."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from dq_checks.conditions import Term
from dq_checks.dialects import (
    HASHES,
    characters,
    day,
    folded,
    full_match,
    has_text,
    hashed,
    position,
    ranked,
)
from dq_checks.formats import CHECK_DIGITS, CHECK_SUMS

Kind = Literal["text", "number", "date", "time", "boolean", "other"]
Kinds = Mapping[str, Kind]

_OPERATORS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    "text": sa.String(),
    "number": sa.Numeric(),
    "date": sa.Date(),
    "time": sa.DateTime(timezone=True),
    "boolean": sa.Boolean(),
    "other": sa.types.NullType(),
}


class RuleProblem(Exception):
    """A rule does not fit the table; the message names columns, never values."""


def kind_of(column_type: sa.types.TypeEngine[Any]) -> Kind:
    """Which kind of values a database type holds."""
    kinds: tuple[tuple[type, Kind], ...] = (
        (sa.types.String, "text"),
        (sa.types.Boolean, "boolean"),
        (sa.types.Numeric, "number"),
        (sa.types.Integer, "number"),
        (sa.types.DateTime, "time"),
        (sa.types.Date, "date"),
    )
    return next((kind for each, kind in kinds if isinstance(column_type, each)), "other")


def expression(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    """The term as a condition on a row.  Raises RuleProblem if a column is missing or of the
    wrong kind."""
    return _TERMS[term[0]](term, kinds)


def as_text(name: str, kinds: Kinds) -> ColumnElement[Any]:
    """The column as text."""
    kind = _kind(name, kinds)
    return sa.column(name, sa.String()) if kind == "text" else sa.cast(sa.column(name), sa.String())


def key_part(name: str, kinds: Kinds, *, ignore_case: bool = False) -> ColumnElement[Any]:
    """A column as a part of a key: texts differ by code point, white space at the ends counts."""
    if _kind(name, kinds) != "text":
        return sa.column(name)
    column = sa.column(name, sa.String())
    return folded(column) if ignore_case else column


def _kind(name: str, kinds: Kinds) -> Kind:
    if name not in kinds:
        raise RuleProblem(f"column {name} is missing")
    return kinds[name]


def _all(_term: Term, _kinds: Kinds) -> ColumnElement[bool]:
    return sa.true()


def _filled(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    column: ColumnElement[Any] = sa.column(term[1])
    if _kind(term[1], kinds) != "text":
        return column.is_not(None)
    return has_text(column)


def _blank(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    column: ColumnElement[Any] = sa.column(term[1])
    if _kind(term[1], kinds) != "text":
        return column.is_(None)
    return sa.or_(column.is_(None), sa.not_(has_text(column)))


def _match(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    return full_match(as_text(term[1], kinds), term[2])


def _length(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    longest: int = term[2]
    return characters(as_text(term[1], kinds)) <= longest


def _code(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    """The weighted sum of all characters leaves the right remainder; see CHECK_SUMS."""
    _, name, code = term
    alphabet, weights, modulus, remainder = CHECK_SUMS[code]
    text = as_text(name, kinds)
    values = [
        (position(alphabet, sa.func.substr(text, at, 1)) - 1) * weight
        for at, weight in enumerate(weights, 1)
    ]
    total = values[0]
    for value in values[1:]:
        total = total + value
    # CASE keeps the sum from being worked out for values that have not even the form
    right = total % modulus == remainder
    return sa.case((full_match(text, CHECK_DIGITS[code]), right), else_=sa.false())


def _sampled(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    """Rows whose key's hash is below the share: the same rows in every audit and engine."""
    _, name, share = term
    least: int = round(share * HASHES)
    return hashed(as_text(name, kinds)) < least


def _in(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    return _value(term[1], kinds).in_(_values(term, kinds))


def _not_in(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    wanted = _value(term[1], kinds).not_in(_values(term, kinds))
    return sa.and_(_filled(["filled", term[1]], kinds), wanted)


def _values(term: Term, kinds: Kinds) -> list[Any]:
    """The values of a list, numbers each with a type of its own: PostgreSQL's driver would give
    all of them that of the first."""
    fitting = [_fit(term[1], each, kinds) for each in term[2]]
    if _kind(term[1], kinds) != "number":
        return fitting
    return [sa.literal(each, _number_type(each)) for each in fitting]


def _number_type(value: int | float) -> sa.types.TypeEngine[Any]:
    if isinstance(value, float):
        return sa.Double()
    return sa.BigInteger() if -(2**63) <= value < 2**63 else sa.Numeric()


def _value(name: str, kinds: Kinds) -> ColumnElement[Any]:
    return sa.column(name, _TYPES[_kind(name, kinds)])


def _fit(name: str, value: Any, kinds: Kinds) -> Any:
    """A value of the rule as the column holds it: dates are written as text in YAML."""
    kind = _kind(name, kinds)
    if isinstance(value, str) and kind in ("date", "time"):
        try:
            return date.fromisoformat(value) if kind == "date" else _in_utc(value)
        except ValueError:
            raise RuleProblem(f"column {name} holds a {kind}, {value!r} is none") from None
    if isinstance(value, bool) is not (kind == "boolean") or isinstance(value, str) is not (
        kind == "text"
    ):
        raise RuleProblem(f"column {name} holds a {kind}, the rule compares it with {value!r}")
    return value


def _in_utc(text: str) -> datetime:
    """A moment; without a zone it is UTC, as in tables that keep none."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _range(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    _, name, low, high = term
    column = _value(name, kinds)
    if _kind(name, kinds) == "text":
        column = ranked(column)
    bounds = [column >= _fit(name, low, kinds)] if low is not None else []
    bounds += [column <= _fit(name, high, kinds)] if high is not None else []
    return sa.and_(*bounds)


def _compare(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    _, left, op, right = term
    one, two = _kind(left, kinds), _kind(right, kinds)
    sides: list[ColumnElement[Any]] = [_value(left, kinds), _value(right, kinds)]
    if {one, two} == {"date", "time"}:
        sides = [day(each) for each in sides]
    elif one == two == "text":
        sides = [ranked(each) for each in sides]
    elif one != two:
        raise RuleProblem(f"column {left} holds a {one}, column {right} a {two}")
    return _OPERATORS[op](*sides)


def _since(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    _, name, moment = term
    kind = _kind(name, kinds)
    if kind not in ("date", "time"):
        raise RuleProblem(f"column {name} holds a {kind}, not a date or time")
    value = _in_utc(moment)
    return _value(name, kinds) >= (value.date() if kind == "date" else value)


def _sql(term: Term, _kinds: Kinds) -> ColumnElement[bool]:
    # the text is the suite author's own, as trusted as the code; brackets keep it one condition
    return sa.literal_column(f"({term[1]})", sa.Boolean())


def _and(term: Term, kinds: Kinds) -> ColumnElement[bool]:
    return sa.and_(*(expression(each, kinds) for each in term[1:]))


_TERMS: dict[str, Callable[[Term, Kinds], ColumnElement[bool]]] = {
    "all": _all,
    "filled": _filled,
    "blank": _blank,
    "match": _match,
    "length": _length,
    "code": _code,
    "in": _in,
    "not in": _not_in,
    "range": _range,
    "compare": _compare,
    "since": _since,
    "sql": _sql,
    "sampled": _sampled,
    "and": _and,
}
