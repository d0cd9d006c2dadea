"""Pieces of SQL: bound arguments, columns, and the condition that says what a caller may touch.

Permissions live here and nowhere else: every statement on an owned entity carries the
condition of visible(), so a forgotten check in a handler cannot show a foreign record.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from refcrm.model import Entity, Type
from refcrm.sessions import Principal


class Arguments:
    """Values of a statement; bind() gives each its placeholder."""

    __slots__ = ("values",)

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)

    def bind(self, value: Any) -> str:
        """The placeholder of one more value."""
        self.values.append(value)
        return f"${len(self.values)}"


@cache
def columns(entity: Entity, alias: str = "r") -> str:
    """The select list of an entity as the API shows it: ids as text, money as a number."""
    parts = []
    for field in entity.fields:
        if field.write_only:
            continue
        name = f"{alias}.{field.name}"
        if field.type is Type.REFERENCE:
            name = f"{name}::text as {field.name}"
        elif field.type is Type.MONEY:
            name = f"{name}::float8 as {field.name}"
        parts.append(name)
    return ", ".join(parts)


def colleagues(who: Principal, arguments: Arguments) -> str | None:
    """A subselect of the user ids whose records who may touch; None when it is everybody's.

    rep: own and the team's; manager: own and the region's; admin and integration: all.
    """
    if who.role in ("admin", "integration"):
        return None
    me = arguments.bind(who.user_id)
    if who.role == "manager":
        return f"select id from users where region = {arguments.bind(who.region)} or id = {me}"
    return f"select id from users where team_id = {arguments.bind(who.team_id)} or id = {me}"


def visible(entity: Entity, who: Principal, arguments: Arguments, alias: str = "r") -> str:
    """The condition, starting with " and ", that keeps who to the records of the entity that
    are theirs to touch; empty when all are."""
    if not entity.owned:
        return ""
    owners = colleagues(who, arguments)
    # An array, not a join: the planner then keeps walking the primary key and filters.
    return "" if owners is None else f" and {alias}.owner_id = any(array({owners}))"


def reachable(entity: Entity, who: Principal, arguments: Arguments, alias: str = "r") -> str:
    """The same condition as visible(), in the form that is cheapest for a single record."""
    if not entity.owned or who.role in ("admin", "integration"):
        return ""
    me = arguments.bind(who.user_id)
    if who.role == "manager":
        mates = f"u.region = {arguments.bind(who.region)}"
    else:
        mates = f"u.team_id = {arguments.bind(who.team_id)}"
    return (
        f" and exists (select 1 from users u where u.id = {alias}.owner_id "
        f"and ({mates} or u.id = {me}))"
    )
