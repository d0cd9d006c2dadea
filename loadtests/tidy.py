"""After a run: is everything that was acknowledged there, once?  Then take it away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from crmops.connectors import connect
from crmops.connectors.base import Connector, Span, Spans, Talk
from crmops.drivers import client, converse
from crmops.errors import CannotRun, ConfigError
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target
from loadtests.journal import Journal, Update, fingerprint, read_journals

PAGE = 100
ORDER = ("activity", "quote", "order", "case", "deal", "lead", "contact", "account")
"""What is deleted first: what points at others before what is pointed at."""

RecordKey = tuple[str, str]
T = TypeVar("T")


@dataclass(slots=True)
class Reconciled:
    """What the CRM holds of what the journal lists.  All are (entity, id).

    ``extra`` carry the run's mark without having been acknowledged: a create whose answer was
    lost, or one that was carried out twice.
    """

    acknowledged: int = 0
    updates: int = 0
    lost: list[RecordKey] = field(default_factory=list)
    lost_updates: list[tuple[str, str, str]] = field(default_factory=list)
    extra: list[RecordKey] = field(default_factory=list)
    torn: int = 0


@dataclass(slots=True)
class Cleaned:
    """What cleaning up did.  ``left`` could not be deleted; ``foreign`` lack the run's mark."""

    deleted: int = 0
    already_gone: int = 0
    left: list[RecordKey] = field(default_factory=list)
    foreign: list[RecordKey] = field(default_factory=list)


PASSING = frozenset((Outcome.SERVER, Outcome.TIMEOUT, Outcome.TRANSPORT, Outcome.THROTTLED))
"""Problems that may pass: everything here may safely be said again."""

TRIES = 5
PASSES = 12
PAUSE = 0.2
MAX_PAUSE = 30.0


class Crm:
    """The CRM as the target's own login sees it, one call after another, patiently."""

    def __init__(self, target: Target, connector: Connector, http: httpx.Client) -> None:
        self.target, self._connector, self._http = target, connector, http

    def marked(self, entity: str, tag: str) -> dict[str, Mapping[str, Any]]:
        """Every record of an entity that carries the mark, by id."""
        found: dict[str, Mapping[str, Any]] = {}
        cursor: str | None = None
        while True:
            page = self._say(
                partial(
                    self._connector.list,
                    entity,
                    limit=PAGE,
                    cursor=cursor,
                    where={"source_tag": tag},
                )
            )
            mine = [one for one in page.records if one.get("source_tag") == tag]
            found.update({str(one["id"]): one for one in mine})
            cursor = page.cursor
            if cursor is None or not page.records:
                return found

    def get(self, entity: str, record_id: str) -> Mapping[str, Any] | None:
        """One record, or None if there is none."""
        try:
            return self._say(partial(self._connector.get, entity, record_id)).record
        except CallFailed as problem:
            if problem.outcome is Outcome.MISSING:
                return None
            raise

    def delete(self, entity: str, record_id: str) -> bool:
        """Delete a record; False if it was not there."""
        try:
            self._say(partial(self._connector.delete, entity, record_id))
        except CallFailed as problem:
            if problem.outcome is Outcome.MISSING:
                return False
            raise
        return True

    def spans(self, trace_id: str) -> tuple[Span, ...]:
        """What the server did for a request; nothing where it cannot say.  Asked once: it is no
        loss worth waiting for.
        """
        if not isinstance(self._connector, Spans):
            return ()
        return converse(self._connector.spans(trace_id), self._http)

    def log_in(self) -> None:
        """Raises CallFailed."""
        password = self.target.password
        if not self.target.username or password is None:
            raise ConfigError(
                f"target {self.target.name!r} has no login of its own, "
                "which checking and cleaning up need",
                hint=f"Give targets.{self.target.name}.username and password (by reference).",
            )
        self._say(partial(self._connector.login, self.target.username, password.reveal()))

    def _say(self, talk: Callable[[], Talk[T]]) -> T:
        for again in range(1, TRIES):
            try:
                return converse(talk(), self._http)
            except CallFailed as problem:
                if problem.outcome not in PASSING:
                    raise
                time.sleep(min(problem.retry_after or PAUSE * again, MAX_PAUSE))
        return converse(talk(), self._http)


@contextmanager
def logged_in(target: Target) -> Iterator[Crm]:
    """The CRM under the target's own login.  Raises CannotRun for whatever goes wrong inside."""
    with client(target) as http:
        crm = Crm(target, connect(target), http)
        try:
            crm.log_in()
            yield crm
        except CallFailed as problem:
            words = problem.code or problem.message
            raise CannotRun(
                f"target {target.name!r} answered {problem.outcome}: {words}",
                hint="Once it is well, `crmops load cleanup RUN` takes the rest away.",
            ) from None


def reconcile(crm: Crm, journal: Journal, tag: str) -> Reconciled:
    """Compare what was acknowledged with what is there."""
    there = {entity: crm.marked(entity, tag) for entity in journal.entities}
    found = Reconciled(acknowledged=len(journal.made), torn=journal.torn)
    for key in journal.made:
        entity, record_id = key
        if key in journal.gone or record_id in there[entity]:
            continue
        if crm.get(entity, record_id) is None:
            found.lost.append(key)
    known = {*journal.made, *journal.gone}
    for entity, records in there.items():
        found.extra += [(entity, each) for each in records if (entity, each) not in known]
    found.updates = sum(
        each.ended is not None for updates in journal.updates.values() for each in updates
    )
    lost = set(found.lost)
    for key, updates in journal.updates.items():
        if key in lost or key in journal.gone:
            continue
        record = there.get(key[0], {}).get(key[1]) or crm.get(*key)
        wrong = fields_lost(record or {}, updates, tag)
        found.lost_updates += [(*key, name) for name in wrong]
    return found


def fields_lost(record: Mapping[str, Any], updates: list[Update], salt: str) -> list[str]:
    """Fields that hold none of the values that the last updates gave them.

    Updates that overlap in time may have taken effect in either order.
    """
    names = sorted({name for each in updates for name in each.fields})
    return [
        name
        for name in names
        if (allowed := _allowed(name, updates))
        and fingerprint(record.get(name), salt) not in allowed
    ]


def _allowed(name: str, updates: list[Update]) -> set[str]:
    """What a field may hold; empty when no update of it was acknowledged."""
    setting = [each for each in updates if name in each.fields]
    acknowledged = [(each.ended, each.begun) for each in setting if each.ended is not None]
    if not acknowledged:
        return set()
    _, last = max(acknowledged)
    return {each.fields[name] for each in setting if each.ended is None or each.ended >= last}


def clean_up(crm: Crm, journal: Journal, tag: str) -> Cleaned:
    """Delete what the journal lists, and what carries the run's mark without being listed.

    What was deleted is looked for again: a CRM that loses writes loses deletes too.  A listed
    record that does not carry the mark is somebody else's: it is left alone and named.  Doing it
    again does no harm.
    """
    found = Cleaned()
    ours: set[RecordKey] = set()
    for _ in range(PASSES):
        found.left = _ours(crm, journal, tag)
        ours.update(found.left)
        if not found.left:
            break
        for key in found.left:
            _delete(crm, key)
    else:
        found.left = _ours(crm, journal, tag)
    found.deleted = len(ours) - len(found.left)
    for entity, record_id in journal.made.keys() - ours - journal.gone:
        if crm.get(entity, record_id) is None:
            found.already_gone += 1
        else:
            found.foreign.append((entity, record_id))
    return found


def _ours(crm: Crm, journal: Journal, tag: str) -> list[RecordKey]:
    """What is there of the run, in the order in which it can be deleted."""
    there = {entity: crm.marked(entity, tag) for entity in journal.entities}
    return [(entity, each) for entity in _in_order(there) for each in there[entity]]


def _delete(crm: Crm, key: RecordKey) -> None:
    with suppress(CallFailed):  # what could not be deleted is found again and named
        crm.delete(*key)


def _in_order(there: Mapping[str, object]) -> list[str]:
    rank = {name: number for number, name in enumerate(ORDER)}
    return sorted(there, key=lambda name: rank.get(name, len(ORDER)))


def clean_up_run(target: Target, folder: Path, run_id: str) -> Cleaned:
    """Clean up after a run from the journals in its folder, also after it was killed."""
    journal = read_journals(folder)
    if not journal.entities:
        return Cleaned()
    with logged_in(target) as crm:
        return clean_up(crm, journal, run_id)
