"""Storing the rows of a bulk import in batches, each row either stored or rejected.

A batch is checked with one query per kind of question (references, unique values, duplicates),
gets its ids from the sequence, and goes in by COPY.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from refcrm.bulk_csv import Row
from refcrm.database import Connection
from refcrm.model import Entity
from refcrm.sessions import Principal
from refcrm.sql import Arguments, colleagues
from refcrm.validate import check

BATCH = 1_000
_CHANGED_MEANWHILE = 3


@dataclass(slots=True)
class Outcome:
    """What became of the rows so far."""

    ids: list[str] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, row: int, reasons: dict[str, str]) -> None:
        """Note a row that was not stored; the first reason stands in front."""
        first = next(iter(reasons))
        entry: dict[str, Any] = {"row": row, "field": first or None, "reason": reasons[first]}
        if len(reasons) > 1:
            entry["fields"] = reasons
        self.rejected.append(entry)


@dataclass(frozen=True, slots=True)
class Importer:
    """Stores rows of one entity for one caller inside one transaction."""

    connection: Connection
    entity: Entity
    who: Principal
    names: tuple[str, ...]
    defaults: frozenset[str]
    refuse_duplicates: bool
    outcome: Outcome

    @classmethod
    async def begin(
        cls,
        connection: Connection,
        entity: Entity,
        who: Principal,
        names: Iterable[str],
        *,
        refuse_duplicates: bool,
    ) -> Importer:
        """An importer that knows which columns the database fills by itself."""
        rows = await connection.fetch(
            "select attname::text from pg_attribute where attrelid = $1::text::regclass "
            "and atthasdef and attnum > 0",
            f"public.{entity.name}",
        )
        defaults = frozenset(row[0] for row in rows)
        return cls(connection, entity, who, tuple(names), defaults, refuse_duplicates, Outcome())

    async def store(self, batch: list[Row]) -> None:
        """Store what fits of the batch and note the rest as rejected."""
        kept: dict[int, dict[str, Any]] = {}
        for row in batch:
            if row.fault is not None:
                self.outcome.reject(row.number, {"": row.fault})
                continue
            values, reasons = check(
                self.entity, dict(zip(self.names, row.cells, strict=True)), creating=True
            )
            if reasons:
                self.outcome.reject(row.number, reasons)
            else:
                kept[row.number] = values
        await self._check_references(kept)
        await self._check_owners(kept)
        if self.refuse_duplicates and self.entity.duplicates:
            for name in ("email", "mobile"):
                await self._check_taken(kept, name, "is a duplicate")
        await self._write(kept)

    def _drop(
        self, kept: dict[int, dict[str, Any]], rows: Iterable[int], name: str, why: str
    ) -> None:
        for row in list(rows):
            del kept[row]
            self.outcome.reject(row, {name: why})

    async def _check_references(self, kept: dict[int, dict[str, Any]]) -> None:
        for one in self.entity.fields:
            if one.references is None or one.name not in self.names:
                continue
            wanted = {values[one.name] for values in kept.values()} - {None}
            found = await self._present(one.references, "id", wanted)
            unfit = [
                r for r, v in kept.items() if v[one.name] is not None and v[one.name] not in found
            ]
            self._drop(kept, unfit, one.name, "does not exist")

    async def _check_owners(self, kept: dict[int, dict[str, Any]]) -> None:
        """An empty owner is the caller; a foreign one must be among those the caller may see."""
        if not self.entity.owned:
            return
        arguments = Arguments()
        allowed = colleagues(self.who, arguments)
        owners = None
        if allowed is not None:
            owners = {row[0] for row in await self.connection.fetch(allowed, *arguments.values)}
        foreign = []
        for row, values in kept.items():
            owner = values.get("owner_id")
            if owner is None:
                values["owner_id"] = self.who.user_id
            elif owners is not None and owner not in owners:
                foreign.append(row)
        self._drop(kept, foreign, "owner_id", "is not yours to give to")

    async def _check_taken(self, kept: dict[int, dict[str, Any]], name: str, why: str) -> None:
        """Drop rows whose value of this field is stored already or stands higher in the batch."""
        if name not in self.names:
            return
        fold = name == "email"
        keys = {
            row: values[name].lower() if fold else values[name]
            for row, values in kept.items()
            if values[name] is not None
        }
        column = f'lower({name}) collate "C"' if fold else name
        taken = await self._present(self.entity.name, column, set(keys.values()))
        unfit = []
        for row, key in keys.items():
            if key in taken:
                unfit.append(row)
            taken.add(key)
        self._drop(kept, unfit, name, why)

    async def _present(self, table: str, column: str, wanted: set[Any]) -> set[Any]:
        if not wanted:
            return set()
        # Table and column come from the model, values are bound.
        rows = await self.connection.fetch(
            f"select {column} from {table} where {column} = any($1)",
            list(wanted),
        )
        return {row[0] for row in rows}

    async def _write(self, kept: dict[int, dict[str, Any]]) -> None:
        """COPY the rows; should another writer take a unique value meanwhile, look again."""
        unique = [one.name for one in self.entity.fields if one.unique]
        for attempt in range(_CHANGED_MEANWHILE):
            for name in unique:
                await self._check_taken(kept, name, "is taken")
            try:
                async with self.connection.transaction():
                    await self._copy(kept)
                return
            except asyncpg.UniqueViolationError:
                if attempt + 1 == _CHANGED_MEANWHILE:
                    raise

    async def _copy(self, kept: dict[int, dict[str, Any]]) -> None:
        if not kept:
            return
        found = await self.connection.fetch(
            "select nextval(pg_get_serial_sequence($1::text, 'id')) "
            "from generate_series(1, $2::int)",
            f"public.{self.entity.name}",
            len(kept),
        )
        ids = [row[0] for row in found]
        # An empty cell means the column's default, and COPY can only leave out whole columns.
        groups: dict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
        for number, values in zip(ids, kept.values(), strict=True):
            names = tuple(n for n, v in values.items() if v is not None or n not in self.defaults)
            groups[names].append((number, *(values[name] for name in names)))
        for names, records in groups.items():
            await self.connection.copy_records_to_table(
                self.entity.name, records=records, columns=("id", *names)
            )
        self.outcome.ids.extend(map(str, ids))
