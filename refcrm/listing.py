"""Lists and searches: pages of records by descending id, and prefix and trigram search."""

from __future__ import annotations

import re

from refcrm import paging
from refcrm.call import Answer, Call, answer
from refcrm.errors import invalid
from refcrm.filters import equals
from refcrm.model import Entity
from refcrm.sessions import Principal
from refcrm.sql import Arguments, colleagues, columns, visible

_PLAIN = frozenset({"limit", "cursor", "owner"})
_WIDE = re.compile(r"([^\x01-\x7f])")
_CANDIDATES = 1000
"""Rows that contain the text, of which the newest are shown; bounds the cost of common words."""
_LIKE_SPECIAL = re.compile(r"([%_\\])")


async def list_records(call: Call) -> Answer:
    """GET /api/v1/{entity}: a page, newest first, of what the caller may see."""
    entity, limit = call.entity, call.limit()
    arguments = Arguments()
    conditions = ""
    last = paging.before_id(call.query.get("cursor"))
    if last is not None:
        conditions = f" and r.id < {arguments.bind(last)}"
    conditions += equals(entity, call.query, _PLAIN, arguments)
    statement = page(entity, call.reader, call.query.get("owner"), conditions, arguments, limit + 1)
    rows = await call.services.database.fetch(statement, arguments.values)
    shown, more = paging.cut(rows, limit)
    following = paging.encode(int(shown[-1]["id"])) if more else None
    return answer({"records": shown, "next": following})


def page(
    entity: Entity,
    who: Principal,
    owner: str | None,
    conditions: str,
    arguments: Arguments,
    count: int,
) -> str:
    """The statement of one page of at most count rows."""
    table, most = entity.name, arguments.bind(count)
    if owner is not None and not entity.owned:
        raise invalid("these records have no owner", {"owner": f"{table} have no owner"})
    if owner not in (None, "me", "team"):
        raise invalid("the owner does not fit", {"owner": "must be me or team"})
    team = _team(entity, who, owner, arguments)
    if team is not None:
        # Walking the newest few of each member's index stays cheap however many records others
        # have; filtering the whole table by owner does not.
        return (
            f"select {columns(entity)} from {table} r where r.id = any(array("
            f"select newest.id from ({team}) u cross join lateral ("
            f"select r.id from {table} r where r.owner_id = u.id{conditions} "
            f"order by r.id desc limit {most}) newest order by newest.id desc limit {most}"
            ")) order by r.id desc"
        )
    if owner == "me":
        conditions += f" and r.owner_id = {arguments.bind(who.user_id)}"
    else:
        conditions += visible(entity, who, arguments)
    return (
        f"select {columns(entity)} from {table} r where true{conditions} "
        f"order by r.id desc limit {most}"
    )


def _team(entity: Entity, who: Principal, owner: str | None, arguments: Arguments) -> str | None:
    if owner == "team" and who.role != "rep":
        team, me = arguments.bind(who.team_id), arguments.bind(who.user_id)
        return f"select id from users where team_id = {team} or id = {me}"
    if entity.owned and who.role == "rep" and owner != "me":
        return colleagues(who, arguments)
    return None


async def count_records(call: Call) -> Answer:
    """GET /api/v1/{entity}/count: how many records the caller may see."""
    arguments = Arguments()
    mine = visible(call.entity, call.reader, arguments)
    statement = f"select count(*) as count from {call.entity.name} r where true{mine}"
    rows = await call.services.database.fetch(statement, arguments.values)
    return answer({"count": rows[0]["count"]})


async def search_records(call: Call) -> Answer:
    """GET /api/v1/{entity}/search?q=: records that begin with or contain the text."""
    entity, limit = call.entity, call.limit()
    wanted = call.query.get("q", "").strip()
    if not wanted or len(wanted) > 100:
        raise invalid("the search text does not fit", {"q": "must have 1 to 100 characters"})
    arguments = Arguments(wanted)
    statement = _search(entity, call.reader, wanted, arguments, limit)
    rows = await call.services.database.fetch(statement, arguments.values)
    return answer({"records": rows})


def _search(entity: Entity, who: Principal, wanted: str, arguments: Arguments, limit: int) -> str:
    most = arguments.bind(limit)
    mine = visible(entity, who, arguments)
    table = entity.name
    branches = []
    for name in entity.prefixes:
        key = f'r.{name} collate "C"' if name == "mobile" else f'lower(r.{name}) collate "C"'
        # U+10FFFF sorts behind every continuation of the prefix.
        reach = f"{key} >= lower($1::text) and {key} < lower($1::text) || chr(1114111)"
        branches.append(f"(select r.id from {table} r where {reach}{mine} limit {most})")
    if entity.trigrams and _has_trigrams(wanted):
        literal = _LIKE_SPECIAL.sub(r"\\\1", _doubled(wanted))
        pattern = arguments.bind(f"%{literal}%")
        for name in entity.trigrams:
            # The expression of the index: trigrams know no words of two Chinese characters, so
            # each of these is written twice, in the column and in the pattern alike.
            key = f"regexp_replace(r.{name}, '([^\\x01-\\x7f])', '\\1\\1', 'g')"
            branches.append(
                f"(select r.id from {table} r where {key} ilike {pattern}{mine} "
                f"limit {_CANDIDATES})"
            )
    return (
        f"select {columns(entity)} from {table} r where r.id = any(array("
        f"{' union '.join(branches)})) order by r.id desc limit {most}"
    )


def _doubled(text: str) -> str:
    return _WIDE.sub(r"\1\1", text)


def _has_trigrams(wanted: str) -> bool:
    # Two Chinese characters are a word, two Latin letters are noise.
    return len(wanted) >= (3 if wanted.isascii() else 2)
