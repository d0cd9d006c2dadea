"""Bring a database to the CRM's tables, and take its secondary indexes off and on."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import asyncpg


def _script(name: str) -> str:
    return files("refcrm").joinpath(name).read_text(encoding="utf-8")


async def apply(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Make tables, indexes and the audit role where they are missing.

    A database that has them already is only read: a restored copy must stay what it is.
    """
    scripts = [_script(name) for name in ("schema.sql", "indexes.sql", "grants.sql")]
    digest = hashlib.sha256("".join(scripts).encode()).hexdigest()
    if await _applied(connection) == digest:
        return
    # Two servers starting on one new database would race in "create if not exists".
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(7213001)")
        for script in scripts:
            await connection.execute(script)
        await connection.execute(
            "insert into settings (key, value) values ('schema', $1) "
            "on conflict (key) do update set value = excluded.value",
            digest,
        )


async def _applied(connection: asyncpg.Connection[asyncpg.Record]) -> str | None:
    if await connection.fetchval("select to_regclass('public.settings')") is None:
        return None
    value: str | None = await connection.fetchval("select value from settings where key = 'schema'")
    return value


async def drop_indexes(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Drop every secondary index (not primary keys or unique constraints), for a bulk load."""
    names = await connection.fetch(
        "select i.indexrelid::regclass::text as name from pg_index i "
        "join pg_class c on c.oid = i.indrelid "
        "where c.relnamespace = 'public'::regnamespace and not i.indisunique"
    )
    for row in names:
        await connection.execute(f"drop index {row['name']}")


async def build_indexes(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Build the secondary indexes that are missing and refresh the planner's statistics."""
    await connection.execute(_script("indexes.sql"))
    await connection.execute("analyze")
