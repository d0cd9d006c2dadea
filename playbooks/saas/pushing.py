"""Creating records of a snapshot in another CRM: parents first, lookups mapped, never twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import sql

from crmops.connectors.base import Record
from crmops.errors import CannotRun, ConfigError
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target
from playbooks.saas.snapshot import Snapshot
from playbooks.saas.tables import BODY
from playbooks.saas.talk import Caller
from playbooks.saas.values import FieldShape
from playbooks.source import Connection

TAG = "source_tag"
"""The field that marks a created record with the one that it stands for."""

_OWN = frozenset({"id", TAG})
Chosen = dict[str, set[str] | None]


def check_other(source: Target, other: Target) -> None:
    """Raise ConfigError unless the other target may be written to: not production, not the same."""
    if other.name == source.name or other.url.rstrip("/") == source.url.rstrip("/"):
        raise ConfigError(
            f"target {other.name!r} is the CRM that the snapshot is of",
            hint="Name another target: a sandbox or test organisation.",
        )
    if other.environment == "production":
        raise ConfigError(
            f"target {other.name!r} is a production system",
            hint="Nothing was touched. Records are pushed into test and staging systems only.",
        )


class IdMap:
    """Which record became which, in a file: a push that was killed goes on and creates none twice.

    Holds ids and names of fields, never values.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._link = sqlite3.connect(path, isolation_level=None)
        self._link.execute(
            "create table if not exists made (entity text, old text, new text, refused text,"
            " primary key (entity, old))"
        )
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        self._link.close()

    def begin(self, entity: str, old: str) -> None:
        """Note that a record is about to be created."""
        self._link.execute("insert or ignore into made values (?, ?, null, '[]')", (entity, old))

    def end(self, entity: str, old: str, new: str, refused: Iterable[str]) -> None:
        """Note the id that it got, and the fields that were refused."""
        self._link.execute(
            "update made set new = ?, refused = ? where entity = ? and old = ?",
            (new, json.dumps(sorted(refused)), entity, old),
        )

    def new(self, entity: str, old: str) -> tuple[bool, str | None]:
        """Whether its creation was begun, and the id if it ended."""
        row = self._link.execute(
            "select new from made where entity = ? and old = ?", (entity, old)
        ).fetchone()
        return row is not None, row[0] if row else None

    def refused(self, entity: str, old: str) -> set[str]:
        """Fields of a record that the other CRM did not take."""
        row = self._link.execute(
            "select refused from made where entity = ? and old = ?", (entity, old)
        ).fetchone()
        return set(json.loads(row[0])) if row else set()

    def all(self) -> list[tuple[str, str, str | None]]:
        """(entity, old, new), the last begun first."""
        return self._link.execute(
            "select entity, old, new from made order by rowid desc"
        ).fetchall()

    def forget(self, entity: str, old: str) -> None:
        """The record is gone again."""
        self._link.execute("delete from made where entity = ? and old = ?", (entity, old))


@dataclass(slots=True)
class Pushed:
    """What became of it.  ``refused`` counts values by ``entity.field``, ``left`` lookups."""

    created: int = 0
    adopted: int = 0
    values: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Push:
    """One push: the session with the other CRM, its map, and what is pushed of each entity."""

    caller: Caller
    ids: IdMap
    snapshot: Snapshot
    entities: tuple[str, ...]
    done: Pushed = field(default_factory=Pushed)

    def shapes(self, entity: str) -> tuple[FieldShape, ...]:
        """Fields of an entity that can be written."""
        return tuple(
            each
            for each in self.snapshot.entities[entity].fields
            if not each.read_only and each.name not in _OWN
        )

    def tag(self, old: str) -> str:
        """What marks the record that stands for ``old``."""
        return f"crmops:{self.snapshot.id}:{old}"[:100]

    def tagged(self, entity: str) -> bool:
        """Whether an entity has a field for the mark."""
        return any(e.name == TAG and not e.read_only for e in self.snapshot.entities[entity].fields)

    def outgoing(self, entity: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a record as the other CRM is to hold them, lookups by its own ids."""
        fields: dict[str, Any] = {}
        for each in self.shapes(entity):
            value = record.get(each.name)
            if value is None or value == "":  # CRMs make no difference between the two
                continue
            if each.references:
                value = self.ids.new(each.references, str(value))[1]
                if value is None:
                    name = f"{entity}.{each.name}"
                    self.done.left[name] = self.done.left.get(name, 0) + 1
                    continue
            fields[each.name] = value
        return fields

    def push(self, entity: str, record: Mapping[str, Any]) -> None:
        """Create one record unless it is there already; fields that are refused stay out."""
        old = str(record["id"])
        begun, new = self.ids.new(entity, old)
        fields = self.outgoing(entity, record)
        self.done.values += len(fields)
        if new is not None or (begun and self._adopt(entity, old)):
            self.done.adopted += 1
            self._count(entity, self.ids.refused(entity, old))
            return
        self.ids.begin(entity, old)
        marked = {**fields, TAG: self.tag(old)} if self.tagged(entity) else fields
        refused: set[str] = set()
        while True:
            try:
                made = self._create(entity, {k: v for k, v in marked.items() if k not in refused})
            except CallFailed as problem:
                found = _refused_fields(problem, marked) - refused
                if not found:
                    self._reject(entity, old, problem)
                    return
                refused |= found
                continue
            self.ids.end(entity, old, made, refused)
            self.done.created += 1
            self._count(entity, refused)
            return

    def _create(self, entity: str, fields: dict[str, Any]) -> str:
        talk = self.caller.connector.create
        one = self.caller.ask(lambda: talk(entity, fields, allow_duplicate=True), twice=False)
        return one.id

    def _count(self, entity: str, refused: set[str]) -> None:
        for each in refused:
            name = f"{entity}.{each}"
            self.done.refused[name] = self.done.refused.get(name, 0) + 1

    def _reject(self, entity: str, old: str, problem: CallFailed) -> None:
        if problem.outcome not in (Outcome.INVALID, Outcome.CONFLICT, Outcome.FORBIDDEN):
            raise problem
        self.ids.forget(entity, old)
        said = f"{entity}: {problem.code or problem.outcome}"
        self.done.rejected[said] = self.done.rejected.get(said, 0) + 1

    def _adopt(self, entity: str, old: str) -> bool:
        """Find the record whose creation was begun when the push was killed."""
        if not self.tagged(entity):
            return False
        where = {TAG: self.tag(old)}
        page = self.caller.ask(lambda: self.caller.connector.list(entity, limit=2, where=where))
        for each in page.records:
            if each.get(TAG) == where[TAG]:
                self.ids.end(entity, old, str(each["id"]), ())
                return True
        return False

    def remove(self) -> list[str]:
        """Delete everything that was created; what could not be, as lines for a person."""
        left = []
        for entity, old, known in self.ids.all():
            new = known
            if new is None and self._adopt(entity, old):
                new = self.ids.new(entity, old)[1]
            if new is not None and not self._delete(entity, new):
                left.append(f"{entity} {new}")
                continue
            self.ids.forget(entity, old)
        return left

    def _delete(self, entity: str, new: str) -> bool:
        try:
            self.caller.ask(lambda: self.caller.connector.delete(entity, new))
        except CallFailed as problem:
            return problem.outcome is Outcome.MISSING
        return True


def _refused_fields(problem: CallFailed, fields: Mapping[str, Any]) -> set[str]:
    """The fields that an ``invalid`` answer names."""
    if problem.outcome is not Outcome.INVALID or not isinstance(problem.details, dict):
        return set()
    named = problem.details.get("fields")
    return set(named) & fields.keys() if isinstance(named, dict) else set()


def order(snapshot: Snapshot, left_out: Iterable[str]) -> tuple[str, ...]:
    """Entities with those before that their lookups name.  Raises CannotRun for a circle."""
    waiting = {
        name: {
            e.references for e in part.fields if e.references and not e.read_only
        } - {name, *left_out}
        for name, part in snapshot.entities.items()
        if name not in left_out
    }  # fmt: skip
    found: list[str] = []
    while waiting:
        ready = sorted(n for n, needs in waiting.items() if not needs & waiting.keys())
        if not ready:
            raise CannotRun(
                f"lookups of {', '.join(sorted(waiting))} name each other in a circle",
                hint="Leave one of them out: drills.saas.left_out.",
            )
        found += ready
        for name in ready:
            del waiting[name]
    return tuple(found)


def choose(
    link: Connection, snapshot: Snapshot, entities: tuple[str, ...], size: int, seed: str
) -> Chosen:
    """Ids of about ``size`` records, the same share of each entity, and of all their parents.

    ``seed`` makes it another sample each time.  0 chooses every record: None for each entity.
    """
    if not size:
        return dict.fromkeys(entities)
    share = -(-size // len(entities))
    chosen: dict[str, set[str]] = {}
    for name in entities:
        rows = link.execute(
            sql.SQL("select id from {} order by md5(id || %s) limit %s").format(
                sql.Identifier(name)
            ),
            (hashlib.sha256(seed.encode()).hexdigest(), share),
        )
        chosen[name] = {str(row[0]) for row in rows}
    for name in reversed(entities):
        _add_parents(link, snapshot, chosen, name)
    return dict(chosen)


def _add_parents(
    link: Connection, snapshot: Snapshot, chosen: dict[str, set[str]], name: str
) -> None:
    for each in snapshot.entities[name].fields:
        if each.read_only or each.references not in chosen:
            continue
        rows = link.execute(
            sql.SQL("select o.id from {} r join {} o on o.id = r.{} where r.id = any(%s)").format(
                sql.Identifier(name), sql.Identifier(each.references), sql.Identifier(each.name)
            ),
            (sorted(chosen[name]),),
        )
        chosen[each.references] |= {str(row[0]) for row in rows}


def records_of(link: Connection, entity: str, ids: set[str] | None) -> Iterator[Record]:
    """The chosen records of an entity, a batch in memory at a time."""
    table, body = sql.Identifier(entity), sql.Identifier(BODY)
    query = sql.SQL("select {} from {} where %s or id = any(%s) order by id").format(body, table)
    with link.transaction(), link.cursor(name="crmops_push") as cursor:
        cursor.itersize = 500
        cursor.execute(query, (ids is None, sorted(ids or ())))
        for (line,) in cursor:
            record: Record = json.loads(line)
            yield record
