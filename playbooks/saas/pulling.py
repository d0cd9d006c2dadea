"""Pulling every record: page by page, then what changed meanwhile, until the counts agree."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from crmops.connectors.base import Counts, Describes, Feeds, Page
from crmops.errors import CannotRun
from crmops.outcome import CallFailed, Outcome
from crmops.record import utc_now
from crmops.target import Target
from playbooks.job import parse_time, write_atomically
from playbooks.saas.store import Store
from playbooks.saas.talk import Caller
from playbooks.saas.values import FieldShape, shape_of

PULLING = ".pulling"
"""Directory of a pull that goes on, beside the snapshots."""

OVERLAP = timedelta(minutes=10)
"""The feed of changes is read from before the begin: clocks differ, writes are late."""

_PAGE = 200
_ROUNDS = 6
_RESUMABLE = timedelta(hours=24)
_MOST_DANGLING = 2000
Shapes = dict[str, tuple[FieldShape, ...]]


def begin(place: Path, target: Target, entities: tuple[str, ...]) -> tuple[datetime, bool]:
    """When the pull began, and whether it goes on with one that was killed.

    What an older or another pull left is removed: it would mix two times.
    """
    wanted = {"target": target.name, "url": target.url, "entities": list(entities)}
    note = place / "pull.json"
    try:
        found = json.loads(note.read_bytes())
        begun = parse_time(found.pop("begun"))
        if found == wanted and utc_now() - begun < _RESUMABLE:
            return begun, True
    except (OSError, ValueError, KeyError):
        pass
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700, parents=True)
    begun = utc_now()
    write_atomically(note, json.dumps({**wanted, "begun": begun.isoformat()}))
    return begun, False


def describe(caller: Caller, entities: tuple[str, ...]) -> Shapes:
    """The fields of each entity.  Raises CannotRun for a CRM that cannot describe itself."""
    connector = caller.connector
    if not isinstance(connector, Describes):
        raise CannotRun(
            f"connector {connector.target.connector!r} cannot describe the CRM's fields",
            hint="A snapshot without them could not be loaded; the rest connector takes a profile.",
        )
    return {
        entity: tuple(map(shape_of, caller.ask(lambda each=entity: connector.describe(each))))  # type: ignore[misc]
        for entity in entities
    }


def pull_entity(caller: Caller, store: Store, entity: str) -> int:
    """Page through an entity from where an earlier pull was; records that came now."""
    cursor, done = store.place(entity)
    came = 0
    while not done:
        at = cursor
        page: Page = caller.ask(lambda at=at: caller.connector.list(entity, limit=_PAGE, cursor=at))  # type: ignore[misc]
        store.put(entity, page.records, page.cursor)
        came += len(page.records)
        cursor, done = page.cursor, page.cursor is None
    return came


def settle(caller: Caller, store: Store, entity: str, since: datetime) -> int:
    """Take over what changed since the begin, until the API counts what is here.

    People go on working: what is here lies between the API's counts before and after then, and
    that is as good as equal.  Returns the API's number; it differs if they never agreed.
    """
    counted = 0
    for attempt in range(_ROUNDS):
        before = count(caller, entity)
        _take_changes(caller, store, entity, since)
        counted, here = count(caller, entity), store.count(entity)
        if min(before, counted) <= here <= max(before, counted):
            return here
        time.sleep(min(0.1 * 3**attempt, 5.0))
    return counted


def count(caller: Caller, entity: str) -> int:
    """How many records the API has: its own count, else every page is read for its length."""
    connector = caller.connector
    if isinstance(connector, Counts):
        return caller.ask(lambda: connector.count(entity))
    return sum(len(page.records) for page in _pages(caller, entity))


def _pages(caller: Caller, entity: str) -> Iterator[Page]:
    cursor = None
    while True:
        at = cursor
        page = caller.ask(lambda at=at: caller.connector.list(entity, limit=_PAGE, cursor=at))  # type: ignore[misc]
        yield page
        cursor = page.cursor
        if cursor is None:
            return


def _take_changes(caller: Caller, store: Store, entity: str, since: datetime) -> None:
    connector, moment = caller.connector, since.isoformat()
    if not isinstance(connector, Feeds):
        return
    cursor: str | None = None
    while True:
        at = cursor
        page = caller.ask(lambda at=at: connector.modified_since(entity, moment, at))  # type: ignore[misc]
        store.renew(entity, page.records)
        cursor = page.cursor
        if cursor is None:
            break
    take_deletions(caller, store, entity, since)


def take_deletions(caller: Caller, store: Store, entity: str, since: datetime) -> None:
    """Note what was deleted since a moment; nothing for a CRM without such a feed."""
    connector, moment = caller.connector, since.isoformat()
    if not isinstance(connector, Feeds):
        return
    cursor: str | None = None
    while True:
        at = cursor
        page = caller.ask(lambda at=at: connector.deleted_since(entity, moment, at))  # type: ignore[misc]
        store.remove(entity, [(str(e["id"]), str(e.get("deleted_at", ""))) for e in page.records])
        cursor = page.cursor
        if cursor is None:
            return


@dataclass(slots=True)
class Lookups:
    """Lookups whose record the CRM itself does not have, by entity and field.

    ``fetched`` counts records that it does have and that had not come.
    """

    lost: dict[str, dict[str, int]] = field(default_factory=dict)
    fetched: int = 0


def settle_all(
    caller: Caller, store: Store, shapes: Shapes, since: datetime
) -> tuple[dict[str, int], Lookups]:
    """Settle every entity until each lookup leads to a record here, or nowhere in the CRM too."""
    for _ in range(_ROUNDS):
        counted = {entity: settle(caller, store, entity, since) for entity in shapes}
        lookups = Lookups()
        for entity in shapes:
            lookups.lost[entity] = _dangling(caller, store, shapes, entity, lookups)
        if not lookups.fetched:
            break
    return counted, lookups


def _dangling(
    caller: Caller, store: Store, shapes: Shapes, entity: str, lookups: Lookups
) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in shapes[entity]:
        if each.references not in shapes:
            continue
        missing = store.dangling(entity, each.name, each.references, _MOST_DANGLING + 1)
        if len(missing) > _MOST_DANGLING:
            raise CannotRun(
                f"more than {_MOST_DANGLING} lookups {entity}.{each.name} lead nowhere",
                hint="The login may not see what they name: give it the right to read everything.",
            )
        gone = [one for one in missing if not _fetch(caller, store, each.references, one)]
        lookups.fetched += len(missing) - len(gone)
        if gone:
            found[each.name] = len(gone)
    return found


def _fetch(caller: Caller, store: Store, entity: str, record_id: str) -> bool:
    try:
        one = caller.ask(lambda: caller.connector.get(entity, record_id))
    except CallFailed as problem:
        if problem.outcome is Outcome.MISSING:
            return False
        raise
    store.renew(entity, [one.record])
    return True
