"""Storing the rows of a bulk import in batches, each row either stored or rejected.

A batch is checked with one query per kind of question (references, unique values, duplicates),
gets its ids from the sequence, and goes in by COPY.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from refcrm.bulk_csv import Row
from refcrm.database import Connection
from refcrm.model import ENTITIES, Entity
from refcrm.sessions import Principal
from refcrm.sql import Arguments, colleagues, visible
from refcrm.validate import check

BATCH = 1_000
_CHANGED_MEANWHILE = 3

# Not crm_duplicates(), which locks each value until the end: a file has too many of them. The
# price is that a twin created in the same moment goes unseen.
_STORED_ALREADY = """
select n from unnest($1::text[], $2::text[]) with ordinality t (email, mobile, n)
where exists (select from contacts c where lower(c.email) collate "C" = lower(t.email))
   or exists (select from contacts c where c.mobile collate "C" = t.mobile)
   or exists (select from leads l where lower(l.email) collate "C" = lower(t.email))
   or exists (select from leads l where l.mobile collate "C" = t.mobile)
"""


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
    loses_row: Callable[[], bool]

    @classmethod
    async def begin(
        cls,
        connection: Connection,
        entity: Entity,
        who: Principal,
        names: Iterable[str],
        *,
        refuse_duplicates: bool,
        loses_row: Callable[[], bool],
    ) -> Importer:
        """An importer that knows which columns the database fills by itself.

        ``loses_row`` is asked for each row: a lost one gets an id and is not stored.
        """
        rows = await connection.fetch(
            "select attname::text from pg_attribute where attrelid = $1::text::regclass "
            "and atthasdef and attnum > 0",
            f"public.{entity.name}",
        )
        defaults = frozenset(row[0] for row in rows)
        return cls(
            connection, entity, who, tuple(names), defaults, refuse_duplicates, Outcome(), loses_row
        )

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
            await self._check_duplicates(kept)
        await self._write(kept)

    def _drop(
        self, kept: dict[int, dict[str, Any]], rows: Iterable[int], name: str, why: str
    ) -> None:
        for row in list(rows):
            del kept[row]
            self.outcome.reject(row, {name: why})

    async def _check_references(self, kept: dict[int, dict[str, Any]]) -> None:
        """A reference must lead to a record that the caller may see, as in a single create."""
        for one in self.entity.fields:
            if one.references is None or one.name == "owner_id" or one.name not in self.names:
                continue
            other = ENTITIES[one.references]
            arguments = Arguments(list({v[one.name] for v in kept.values()} - {None}))
            mine = visible(other, self.who, arguments)
            statement = f"select r.id from {other.name} r where r.id = any($1){mine}"
            rows = await self.connection.fetch(statement, *arguments.values)
            found = {row[0] for row in rows} | {None}
            unfit = [row for row, values in kept.items() if values[one.name] not in found]
            self._drop(kept, unfit, one.name, "no such record, or not yours to see")

    async def _check_owners(self, kept: dict[int, dict[str, Any]]) -> None:
        """An empty owner is the caller; another must be among those the caller may give to."""
        if not self.entity.owned:
            return
        named = {values.get("owner_id") for values in kept.values()} - {None, self.who.user_id}
        arguments = Arguments(list(named))
        reach = colleagues(self.who, arguments)
        within = "true" if reach is None else f"id in ({reach})"
        statement = f"select id, {within} from users where id = any($1)"
        rows = await self.connection.fetch(statement, *arguments.values) if named else ()
        fits: dict[int, bool] = {row[0]: row[1] for row in rows}
        unknown, foreign = [], []
        for row, values in kept.items():
            owner = values.get("owner_id")
            if owner is None:
                values["owner_id"] = self.who.user_id
            elif owner != self.who.user_id and owner not in fits:
                unknown.append(row)
            elif not fits.get(owner, True):
                foreign.append(row)
        self._drop(kept, unknown, "owner_id", "no such user")
        self._drop(kept, foreign, "owner_id", "outside your team or region")

    async def _check_duplicates(self, kept: dict[int, dict[str, Any]]) -> None:
        """Drop rows whose e-mail address or mobile number a contact, lead or higher row has."""
        pairs = [(values.get("email"), values.get("mobile")) for values in kept.values()]
        rows = await self.connection.fetch(
            _STORED_ALREADY,
            [email for email, _ in pairs],
            [mobile for _, mobile in pairs],
        )
        stored = {row[0] for row in rows}
        seen: set[tuple[str, str]] = set()
        unfit = []
        for place, (row, (email, mobile)) in enumerate(zip(list(kept), pairs, strict=True), 1):
            keys = {("email", (email or "").lower()), ("mobile", mobile or "")}
            keys = {key for key in keys if key[1]}
            if place in stored or keys & seen:
                unfit.append(row)
            seen |= keys
        self._drop(kept, unfit, "", "has the e-mail address or mobile number of another record")

    async def _check_unique(self, kept: dict[int, dict[str, Any]], name: str) -> None:
        """Drop rows whose unique value is stored already or stands higher in the batch."""
        keys = {row: values[name] for row, values in kept.items() if values.get(name) is not None}
        # Table and column come from the model, the values are bound.
        statement = f"select {name} from {self.entity.name} where {name} = any($1)"
        rows = await self.connection.fetch(statement, list(keys.values())) if keys else ()
        taken = {row[0] for row in rows}
        unfit = []
        for row, key in keys.items():
            if key in taken:
                unfit.append(row)
            taken.add(key)
        self._drop(kept, unfit, name, "is taken")

    async def _write(self, kept: dict[int, dict[str, Any]]) -> None:
        """COPY the rows; should another writer take a unique value meanwhile, look again."""
        unique = [one.name for one in self.entity.fields if one.unique]
        for attempt in range(_CHANGED_MEANWHILE):
            for name in unique:
                await self._check_unique(kept, name)
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
            if self.loses_row():
                continue
            names = tuple(n for n, v in values.items() if v is not None or n not in self.defaults)
            groups[names].append((number, *(values[name] for name in names)))
        for names, records in groups.items():
            await self.connection.copy_records_to_table(
                self.entity.name, records=records, columns=("id", *names)
            )
        self.outcome.ids.extend(map(str, ids))
