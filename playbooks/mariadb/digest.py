"""What a MariaDB database contains, as numbers that differ when a row is lost or changed.

A table's digest is the sum of the first 64 bits of the MD5 of its rows: independent of order.
Each value is followed by a sign that tells NULL from an empty text.  Tables of an engine without
transactions cannot be read at an instant: they are listed as not to be compared.
"""

from __future__ import annotations

from typing import Any

from playbooks.digest import Contents, TableDigest
from playbooks.mariadb.link import DRILL_USER, Link, rows

_OURS = "not in ('mysql', 'information_schema', 'performance_schema', 'sys')"
_TABLES = """
select table_schema, table_name, engine from information_schema.tables
where table_type = 'BASE TABLE' and table_schema @OURS order by 1, 2
"""
_COLUMNS = """
select column_name from information_schema.columns
where table_schema = %s and table_name = %s and coalesce(is_generated, 'NEVER') = 'NEVER'
order by ordinal_position
"""
_DIGEST = """
select count(*), coalesce(sum(cast(
  conv(left(md5(concat_ws(char(31), @VALUES)), 16), 16, 10) as decimal(20, 0))), 0) from @TABLE
"""
_OBJECTS = """
select 'column', table_schema, table_name, column_name,
  concat_ws(' ', column_type, is_nullable, column_default, collation_name, extra)
from information_schema.columns where table_schema @OURS
union all
select 'index', table_schema, table_name, index_name,
  concat(max(non_unique), ' ', group_concat(column_name order by seq_in_index))
from information_schema.statistics where table_schema @OURS
group by table_schema, table_name, index_name
union all
select 'constraint', constraint_schema, table_name, constraint_name, constraint_type
from information_schema.table_constraints where constraint_schema @OURS
union all
select 'view', table_schema, table_name, '', sha2(view_definition, 256)
from information_schema.views where table_schema @OURS
union all
select 'trigger', trigger_schema, event_object_table, trigger_name, sha2(action_statement, 256)
from information_schema.triggers where trigger_schema @OURS
union all
select 'function', routine_schema, routine_name, routine_type, sha2(routine_definition, 256)
from information_schema.routines where routine_schema @OURS
union all
select 'event', event_schema, event_name, '', sha2(event_definition, 256)
from information_schema.events where event_schema @OURS
order by 1, 2, 3, 4
"""
_ROLES = """
select user, host, sha2(priv, 256), '' from mysql.global_priv where user <> '@US'
union all
select user, host, db, sha2(concat_ws(',', select_priv, insert_priv, update_priv, delete_priv,
  create_priv, drop_priv, grant_priv, alter_priv, execute_priv), 256) from mysql.db
order by 1, 2, 3
"""
"""Privileges hold hashes of passwords: only their SHA-256 leaves the server."""

_TRANSACTIONAL = "InnoDB"


def read_contents(link: Link) -> Contents:
    """Digest every table, as the transaction of ``link`` sees it."""
    rows(link, "set session group_concat_max_len = 1048576")
    tables = [_digest(link, *map(str, each)) for each in _rows(link, _TABLES)]
    return Contents(
        tables=tuple(tables),
        sequences={},
        objects=_texts(link, _OBJECTS),
        roles=_texts(link, _ROLES),
        policies=(),
        extensions=(),
    )


def _digest(link: Link, schema: str, name: str, engine: str) -> TableDigest:
    columns = [quoted(str(each[0])) for each in rows(link, _COLUMNS, (schema, name))]
    values = ", ".join(f"cast(coalesce({each}, '') as binary), isnull({each})" for each in columns)
    query = _DIGEST.replace("@VALUES", values)
    query = query.replace("@TABLE", f"{quoted(schema)}.{quoted(name)}")
    count, total = rows(link, query)[0]
    return TableDigest(
        table=f"{schema}.{name}",
        rows=int(count),
        digest=str(total),
        unlogged=engine != _TRANSACTIONAL,
    )


def quoted(name: str) -> str:
    """A name as an identifier."""
    return "`" + name.replace("`", "``") + "`"


def _texts(link: Link, query: str) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple("" if value is None else str(value) for value in row) for row in _rows(link, query)
    )


def _rows(link: Link, query: str) -> list[tuple[Any, ...]]:
    return rows(link, query.replace("@OURS", _OURS).replace("@US", DRILL_USER))
