"""Filters and sort orders from callers, turned into conditions with bound values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from refcrm import paging
from refcrm.database import Record
from refcrm.errors import invalid
from refcrm.model import Entity, Field, Type
from refcrm.sql import Arguments
from refcrm.validate import convert

_COMPARISONS = {"eq": "=", "ne": "is distinct from", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_OPERATORS = (*_COMPARISONS, "in", "like", "null", "notnull")
_MOST_FILTERS, _MOST_VALUES, _MOST_SORTS = 20, 1000, 3


def equals(
    entity: Entity, query: Mapping[str, str], other: Iterable[str], arguments: Arguments
) -> str:
    """Conditions for ``field=value`` pairs of a query string; names in other are not fields."""
    conditions = ""
    reasons: dict[str, str] = {}
    for name, given in query.items():
        if name in other:
            continue
        try:
            field = _comparable(entity, name)
            conditions += f" and r.{name} = {arguments.bind(_value(field, given))}"
        except ValueError as error:
            reasons[name] = str(error)
    if reasons:
        raise invalid(f"{len(reasons)} filter(s) do not fit", reasons)
    return conditions


def conditions(entity: Entity, filters: object, arguments: Arguments) -> str:
    """Conditions for a list of {"field", "op", "value"}; ApiError 400 naming what is wrong."""
    if not isinstance(filters, list) or len(filters) > _MOST_FILTERS:
        reason = f"must be a list of at most {_MOST_FILTERS}"
        raise invalid("the filters do not fit", {"filters": reason})
    parts = []
    reasons: dict[str, str] = {}
    for place, one in enumerate(filters):
        try:
            parts.append(_condition(entity, one, arguments))
        except ValueError as error:
            reasons[f"filters[{place}]"] = str(error)
    if reasons:
        raise invalid(f"{len(reasons)} filter(s) do not fit", reasons)
    return "".join(f" and {part}" for part in parts)


def _condition(entity: Entity, one: object, arguments: Arguments) -> str:
    if not isinstance(one, dict) or not {"field", "op"} <= one.keys() <= {"field", "op", "value"}:
        raise ValueError("must be an object with field, op and value")
    field, operator, given = _comparable(entity, one["field"]), one["op"], one.get("value")
    column = f"r.{field.name}"
    if operator == "null":
        return f"{column} is null"
    if operator == "notnull":
        return f"{column} is not null"
    if operator == "in":
        if not isinstance(given, list) or len(given) > _MOST_VALUES:
            raise ValueError(f"in needs a list of at most {_MOST_VALUES} values")
        return f"{column} = any({arguments.bind([_value(field, value) for value in given])})"
    if operator == "like":
        if field.type not in (Type.TEXT, Type.EMAIL):
            raise ValueError("like works on text fields only")
        return f"{column} ilike {arguments.bind(_value(field, given))}"
    if operator not in _COMPARISONS:
        raise ValueError(f"op must be one of {', '.join(_OPERATORS)}")
    return f"{column} {_COMPARISONS[operator]} {arguments.bind(_value(field, given))}"


def _comparable(entity: Entity, name: object) -> Field:
    field = entity.by_name.get(name) if isinstance(name, str) else None
    if field is None or field.write_only:
        raise ValueError("is not a field")
    return field


@cache
def _lenient(field: Field) -> Field:
    # A filter may look for what a write would refuse: data from elsewhere breaks the rules.
    kind = Type.TEXT if field.type is Type.EMAIL else field.type
    return replace(field, type=kind, required=False, values=(), max_length=None)


def _value(field: Field, given: Any) -> Any:
    if given is None:
        raise ValueError("needs a value; to find empty fields use the op null")
    plain = _lenient(field)
    if given == "":
        if plain.type is Type.TEXT:
            return ""
        raise ValueError("needs a value")
    if plain.type is Type.REFERENCE and given in ("0", 0):
        return 0  # no id, but where a walk over ids begins
    return convert(plain, given)


class Order:
    """A sort order with the id as the last key, so that it is total and pages are exact.

    Empty fields sort last in both directions.
    """

    def __init__(self, entity: Entity, given: object) -> None:
        if not isinstance(given, list) or len(given) > _MOST_SORTS:
            raise invalid("the sort does not fit", {"sort": f"at most {_MOST_SORTS} fields"})
        self.keys: list[tuple[Field, bool]] = []
        for one in given:
            name = one.removeprefix("-") if isinstance(one, str) else one
            try:
                self.keys.append((_comparable(entity, name), one != name))
            except ValueError as error:
                raise invalid("the sort does not fit", {"sort": str(error)}) from None

    def clause(self) -> str:
        """The text behind "order by"."""
        directions = ((field, "desc" if down else "asc") for field, down in self.keys)
        parts = [f"r.{field.name} {direction} nulls last" for field, direction in directions]
        return ", ".join([*parts, "r.id desc"])

    def shown(self) -> str:
        """Extra select columns with the exact keys as text, for the cursor."""
        return "".join(
            f", r.{field.name}::text as key_{place}" for place, (field, _) in enumerate(self.keys)
        )

    def cursor(self, row: Record) -> str:
        """The cursor behind this row."""
        keys = [row[f"key_{place}"] for place in range(len(self.keys))]
        return paging.encode(*keys, int(row["id"]))

    def after(self, cursor: str | None, arguments: Arguments) -> str:
        """The condition for rows behind the cursor; empty without one."""
        if cursor is None:
            return ""
        *keys, last = paging.decode(cursor, len(self.keys) + 1)
        if not isinstance(last, int) or not all(isinstance(key, str | None) for key in keys):
            raise paging.unfit()
        ways = []
        same = ""
        for (field, down), key in zip(self.keys, keys, strict=True):
            column = f"r.{field.name}"
            if key is None:
                same += f"{column} is null and "
                continue
            bound = arguments.bind(_from_cursor(field, key))
            ways.append(f"({same}({column} {'<' if down else '>'} {bound} or {column} is null))")
            same += f"{column} = {bound} and "
        ways.append(f"({same}r.id < {arguments.bind(last)})")
        return f" and ({' or '.join(ways)})"


def _from_cursor(field: Field, key: str) -> Any:
    try:
        # PostgreSQL writes a time with a space, where the API has a "T".
        return _value(field, key.replace(" ", "T") if field.type is Type.TIME else key)
    except ValueError:
        raise paging.unfit() from None
