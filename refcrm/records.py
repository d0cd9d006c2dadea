"""One record: open, create, change, delete."""

from __future__ import annotations

import asyncio
from typing import Any

from refcrm.call import NO_CONTENT, Answer, Call, answer
from refcrm.database import Record
from refcrm.errors import ApiError, forbidden, invalid, missing
from refcrm.model import ENTITIES, Entity, Type, referring
from refcrm.passwords import hash_password
from refcrm.sessions import Principal
from refcrm.sql import Arguments, colleagues, columns, reachable
from refcrm.validate import clean, to_id

SQL_TYPES = {
    Type.TEXT: "text",
    Type.EMAIL: "text",
    Type.REFERENCE: "bigint",
    Type.INTEGER: "integer",
    Type.MONEY: "numeric",
    Type.BOOLEAN: "boolean",
    Type.DATE: "date",
    Type.TIME: "timestamptz",
}


async def open_record(call: Call) -> Answer:
    """GET /api/v1/{entity}/{id}."""
    entity, number = call.entity, call.path_id()
    arguments = Arguments(number)
    mine = reachable(entity, call.reader, arguments)
    row = await call.services.database.row(
        f"select {columns(entity)} from {entity.name} r where r.id = $1{mine}", arguments.values
    )
    if row is None:
        raise await _why_not(call, entity, number, call.reader)
    return _shown(row)


async def create_record(call: Call) -> Answer:
    """POST /api/v1/{entity}: 201 with the record.

    ApiError 400 for unfit fields, 403 for a foreign owner, 409 ``duplicate`` for a contact or
    lead whose e-mail address or mobile number is taken, unless ?allow_duplicate=true.
    """
    entity = writable(call)
    values = clean(entity, await call.json(), creating=True)
    if entity.owned:
        values.setdefault("owner_id", call.principal.user_id)
    await check_links(call, entity, values)
    await _hash_password(values)
    arguments = Arguments()
    unique = entity.duplicates and call.query.get("allow_duplicate") != "true"
    row = await write(call, insert(entity, values, arguments, unique=unique), arguments)
    if row is None:
        raise await _duplicate(call, values)
    call.record_id = int(row["id"])
    return _shown(row, 201)


async def change_record(call: Call) -> Answer:
    """PATCH /api/v1/{entity}/{id}: the changed record.

    With If-Match, ApiError 409 ``conflict`` when the record is no longer of that version.
    """
    entity, number = writable(call), call.path_id()
    version = _expected_version(call)
    values = clean(entity, await call.json(), creating=False)
    await check_links(call, entity, values)
    await _hash_password(values)
    arguments = Arguments(number)
    changes = "".join(f"{name} = {arguments.bind(value)}, " for name, value in values.items())
    condition = reachable(entity, call.principal, arguments)
    if version is not None:
        condition += f" and r.version = {arguments.bind(version)}"
    statement = (
        f"update {entity.name} r set {changes}version = r.version + 1, updated_at = now() "
        f"where r.id = $1{condition} returning {columns(entity)}"
    )
    row = await write(call, statement, arguments)
    if row is None:
        raise await _why_not(call, entity, number, call.principal)
    if entity.name == "users":
        call.services.sessions.forget_user(number)
    return _shown(row)


async def delete_record(call: Call) -> Answer:
    """DELETE /api/v1/{entity}/{id}: 204; records that referred to it refer to nothing."""
    entity, number = writable(call), call.path_id()
    if entity.name == "users":
        await _check_owns_nothing(call, number)
    arguments = Arguments(number, entity.name)
    mine = reachable(entity, call.principal, arguments)
    loosened = "".join(
        f", loose_{place} as (update {other} set {field} = null, version = version + 1, "
        f"updated_at = now() where {field} in (select id from gone))"
        for place, (other, field) in enumerate(referring(entity.name))
        if other != "users"
    )
    row = await write(
        call,
        f"with gone as (delete from {entity.name} r where r.id = $1{mine} returning r.id), "
        "noted as (insert into deletions (entity, record_id) select $2, id from gone)"
        f"{loosened} select id from gone",
        arguments,
    )
    if row is None:
        raise await _why_not(call, entity, number, call.principal)
    if entity.name == "users":
        call.services.sessions.forget_user(number)
    return NO_CONTENT


def writable(call: Call) -> Entity:
    """The entity of the path; ApiError 403 when the caller's role may not write it at all."""
    entity = call.entity
    if call.principal.role not in entity.writers:
        raise forbidden(f"role {call.principal.role} may not write {entity.name}")
    return entity


def insert(
    entity: Entity, values: dict[str, Any], arguments: Arguments, *, unique: bool = False
) -> str:
    """The statement that creates a record and returns it; with unique, nothing when a contact
    or lead with the same e-mail address or mobile number exists."""
    places = [
        f"{arguments.bind(value)}::{_sql_type(entity, name)}" for name, value in values.items()
    ]
    guard = ""
    if unique and (values.get("email") is not None or values.get("mobile") is not None):
        email = arguments.bind(values.get("email"))
        mobile = arguments.bind(values.get("mobile"))
        guard = f" where not exists (select 1 from crm_duplicates({email}, {mobile}))"
    return (
        f"insert into {entity.name} as r ({', '.join(values)}) select {', '.join(places)}{guard} "
        f"returning {columns(entity)}"
    )


async def write(call: Call, statement: str, arguments: Arguments) -> Record | None:
    """Run one writing statement; undone again, yet answered, when the fault knob says so."""
    database = call.services.database
    if not call.services.faults.loses_write():
        return await database.row(statement, arguments.values)
    try:
        async with database.transaction() as connection:
            raise _Lost(await connection.fetchrow(statement, *arguments.values))
    except _Lost as lost:
        return lost.row


class _Lost(Exception):
    """Carries the answer of a write out of the transaction that it rolls back."""

    def __init__(self, row: Record | None) -> None:
        super().__init__()
        self.row = row


async def check_links(call: Call, entity: Entity, values: dict[str, Any]) -> None:
    """Every reference among values must point at a record the caller may see.

    ApiError 400 naming the fields that do not; 403 for an owner outside the caller's reach.
    """
    who = call.principal
    arguments = Arguments()
    checks = []
    for name, number in values.items():
        field = entity.by_name.get(name)
        if field is None or field.references is None or name == "owner_id" or number is None:
            continue
        other = ENTITIES[field.references]
        bound = arguments.bind(number)
        mine = reachable(other, who, arguments)
        checks.append(
            f"select '{name}' as field where not exists "
            f"(select 1 from {other.name} r where r.id = {bound}{mine})"
        )
    if checks:
        rows = await call.services.database.fetch(" union all ".join(checks), arguments.values)
        if rows:
            reason = "no such record, or not yours to see"
            raise invalid("a reference does not fit", {row["field"]: reason for row in rows})
    if "owner_id" in values and values["owner_id"] != who.user_id:
        await _check_owner(call, values["owner_id"])


async def _check_owner(call: Call, owner: int | None) -> None:
    who = call.principal
    arguments = Arguments(owner)
    reach = colleagues(who, arguments)
    if owner is None:
        if reach is not None:
            raise forbidden(f"role {who.role} may not take a record's owner away")
        return
    within = "true" if reach is None else f"id in ({reach})"
    row = await call.services.database.row(
        f"select {within} as within from users where id = $1", arguments.values
    )
    if row is None:
        raise invalid("the owner does not exist", {"owner_id": "no such user"})
    if not row["within"]:
        raise forbidden("the owner is outside your team or region")


async def _duplicate(call: Call, values: dict[str, Any]) -> ApiError:
    arguments = Arguments(values.get("email"), values.get("mobile"))
    reach = colleagues(call.principal, arguments)
    # Whose record it is must not leak through a create: a foreign one is named without its name.
    name = "name" if reach is None else f"case when owner_id in ({reach}) then name end as name"
    rows = await call.services.database.fetch(
        f"select entity, record_id::text as id, {name} from crm_duplicates($1, $2)",
        arguments.values,
    )
    return ApiError(
        409,
        "duplicate",
        "the e-mail address or mobile number is taken",
        duplicates=[dict(row) for row in rows],
    )


async def _why_not(call: Call, entity: Entity, number: int, who: Principal) -> ApiError:
    arguments = Arguments(number)
    mine = reachable(entity, who, arguments)
    row = await call.services.database.row(
        f"select (true{mine}) as mine from {entity.name} r where r.id = $1", arguments.values
    )
    if row is None:
        return missing("the record")
    if not row["mine"]:
        return forbidden("the record belongs to another team or region")
    return ApiError(409, "conflict", "the record was changed meanwhile, read it again")


async def _check_owns_nothing(call: Call, number: int) -> None:
    if number == call.principal.user_id:
        raise forbidden("nobody deletes themselves")
    owned = [one.name for one in ENTITIES.values() if one.owned]
    found = " or ".join(f"exists (select 1 from {name} where owner_id = $1)" for name in owned)
    row = await call.services.database.row(f"select {found} as found", (number,))
    if row is not None and row["found"]:
        raise ApiError(409, "in_use", "the user owns records: reassign them or set active to false")


async def _hash_password(values: dict[str, Any]) -> None:
    password = values.pop("password", None)
    if password is not None:
        values["password_hash"] = await asyncio.to_thread(hash_password, password)


def _sql_type(entity: Entity, name: str) -> str:
    field = entity.by_name.get(name)
    return "text" if field is None else SQL_TYPES[field.type]


def _expected_version(call: Call) -> int | None:
    text = call.header(b"if-match")
    if text is None or text.strip() == "*":
        return None
    version = to_id(text.strip().removeprefix("W/").strip('"'))
    if version is None or version > 2**31 - 1:
        raise invalid("the If-Match header does not fit", {"If-Match": "must be a version number"})
    return version


def _shown(row: Record, status: int = 200) -> Answer:
    return answer(row, status, ((b"etag", b'"%d"' % row["version"]),))
