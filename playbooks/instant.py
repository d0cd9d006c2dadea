"""A named instant of a live database whose contents are known exactly.

A restore point names a place in the write-ahead log; a snapshot shows the contents of a moment.
They are the same moment only if no transaction that may write was under way between the two.
This is proved without stopping anybody, from transaction numbers, which are given out one by
one and only to transactions that write:

1. Take number A and end that transaction.
2. Open a snapshot.  If its xmin and xmax are both A + 1, everything up to A has ended.  In the
   same statement create the restore point.
3. Take number B.  If it is A + 1, nobody was given a number since 1.

Then no commit lies between snapshot and restore point.  A busy CRM has such a gap every few
tries (each is about a millisecond).  Should it have none, writers wait for at most
``brief_lock`` seconds while snapshot and restore point are made under SHARE locks.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import psycopg
from psycopg import sql

from playbooks.source import Connection, one_row

_TRY = """
select case when pg_snapshot_xmin(s) = pg_snapshot_xmax(s) and pg_snapshot_xmax(s) = %s::xid8
            then pg_create_restore_point(%s) end::text, clock_timestamp()
from pg_current_snapshot() s
"""
_TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname !~ '^pg_'
  and n.nspname <> 'information_schema' order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Instant:
    """A restore point, and the exported snapshot that shows the same moment (None: none does)."""

    name: str
    lsn: str
    time: str
    snapshot: str | None
    how: str
    tries: int


def find_instant(
    reader: Connection, other: Connection, name: str, *, quiet_wait: float, brief_lock: float
) -> Instant:
    """Create restore points named after ``name`` until one is exact.

    ``reader`` is left inside the snapshot's transaction, so that it can be joined; ``other``
    is free again.  Waits at most ``quiet_wait`` seconds for a gap between writers, then lets
    writers wait for at most ``brief_lock`` seconds.
    """
    deadline = time.monotonic() + quiet_wait
    tries = 0
    while tries == 0 or time.monotonic() < deadline:
        tries += 1
        found = _try_quiet(reader, other, f"{name}_{tries}", tries)
        if found is not None:
            return found
        reader.execute(b"rollback")
        time.sleep(random.uniform(0, 0.005))
    locked = _try_locked(reader, other, f"{name}_lock", brief_lock, tries) if brief_lock else None
    return locked or _inexact(other, f"{name}_inexact", tries)


def _try_quiet(reader: Connection, other: Connection, name: str, tries: int) -> Instant | None:
    before = _new_number(other)
    reader.execute(b"begin isolation level repeatable read")
    row = one_row(reader, _TRY.encode(), (str(before + 1), name))
    if row[0] is None or _new_number(other) != before + 1:
        return None
    return Instant(name, row[0], row[1].isoformat(), _export(reader), "between writers", tries)


def _try_locked(
    reader: Connection, other: Connection, name: str, seconds: float, tries: int
) -> Instant | None:
    tables = other.execute(_TABLES.encode()).fetchall()
    if not tables:
        return None
    other.execute(b"begin")
    other.execute(f"set local lock_timeout = {int(seconds * 1000)}".encode())
    names = sql.SQL(", ").join(sql.Identifier(*map(str, each)) for each in tables)
    try:
        other.execute(sql.SQL("lock table {} in share mode").format(names))
        reader.execute(b"begin isolation level repeatable read")
        snapshot = _export(reader)
        row = _restore_point(other, name)
        return Instant(name, row[0], row[1], snapshot, "under a brief lock", tries)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege):
        return None
    finally:
        other.execute(b"rollback")


def _inexact(other: Connection, name: str, tries: int) -> Instant:
    lsn, moment = _restore_point(other, name)
    return Instant(name, lsn, moment, None, "writers never paused", tries)


def _restore_point(connection: Connection, name: str) -> tuple[str, str]:
    query = b"select pg_create_restore_point(%s)::text, clock_timestamp()"
    row = one_row(connection, query, (name,))
    return str(row[0]), row[1].isoformat()


def _new_number(connection: Connection) -> int:
    return int(one_row(connection, b"select pg_current_xact_id()::text")[0])


def _export(connection: Connection) -> str:
    return str(one_row(connection, b"select pg_export_snapshot()")[0])
