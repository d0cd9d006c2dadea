"""Where records lie while they are pulled: a file that a kill leaves whole, so a pull can go on.

Holds people's data, lies in a directory of mode 0700 and is removed when the snapshot is sealed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crmops.connectors.base import Record

_SCHEMA = """
create table if not exists records (entity text, id text, body text, primary key (entity, id))
  without rowid;
create table if not exists places (entity text primary key, cursor text, done integer);
create table if not exists gone (entity text, id text, at text, primary key (entity, id))
  without rowid;
"""


class Store:
    """Records by entity and id; every write is one transaction with the place reached."""

    def __init__(self, path: Path) -> None:
        self._link = sqlite3.connect(path)
        self._link.executescript(_SCHEMA)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        self._link.close()

    def place(self, entity: str) -> tuple[str | None, bool]:
        """Where to go on: the next page's cursor, and whether all pages are here."""
        row = self._link.execute(
            "select cursor, done from places where entity = ?", (entity,)
        ).fetchone()
        return (row[0], bool(row[1])) if row else (None, False)

    def put(self, entity: str, records: Sequence[Record], cursor: str | None) -> None:
        """Keep a page and where the next one begins; None: there is none."""
        with self._link:
            self._keep(entity, records)
            self._link.execute(
                "insert or replace into places values (?, ?, ?)", (entity, cursor, cursor is None)
            )

    def renew(self, entity: str, records: Sequence[Record]) -> None:
        """Keep the later state of records."""
        with self._link:
            self._keep(entity, records)

    def _keep(self, entity: str, records: Sequence[Record]) -> None:
        self._link.executemany(
            "insert or replace into records values (?, ?, ?)",
            [
                (entity, str(each["id"]), json.dumps(each, ensure_ascii=False, sort_keys=True))
                for each in records
            ],
        )

    def remove(self, entity: str, gone: Iterable[tuple[str, str]]) -> None:
        """Note (id, when) as deleted; the records go."""
        with self._link:
            for record_id, at in gone:
                self._link.execute(
                    "delete from records where entity = ? and id = ?", (entity, record_id)
                )
                self._link.execute(
                    "insert or replace into gone values (?, ?, ?)", (entity, record_id, at)
                )

    def count(self, entity: str) -> int:
        """How many records of an entity are here."""
        return int(
            self._link.execute(
                "select count(*) from records where entity = ?", (entity,)
            ).fetchone()[0]
        )

    def records(self, entity: str) -> Iterator[tuple[str, Record]]:
        """Each record with the line that stands for it, by id."""
        rows = self._link.execute(
            "select body from records where entity = ? order by id", (entity,)
        )
        for (body,) in rows:
            yield body, json.loads(body)

    def gone(self) -> Iterator[dict[str, Any]]:
        """What was deleted, by entity and id."""
        for entity, record_id, at in self._link.execute(
            "select entity, id, at from gone order by entity, id"
        ):
            yield {"entity": entity, "id": record_id, "deleted_at": at}

    def dangling(self, entity: str, field: str, other: str, limit: int) -> list[str]:
        """Ids that a field names and that are not here."""
        rows = self._link.execute(
            "select distinct json_extract(r.body, ?) from records r where r.entity = ?"
            " and json_extract(r.body, ?) is not null and not exists (select 1 from records o"
            " where o.entity = ? and o.id = cast(json_extract(r.body, ?) as text)) limit ?",
            (f'$."{field}"', entity, f'$."{field}"', other, f'$."{field}"', limit),
        )
        return [str(row[0]) for row in rows]
