"""Makes a connector note in the journal whatever it writes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from crmops.connectors.base import Connector, Converts, ImportReport, Imports, One, Talk
from crmops.outcome import CallFailed, Outcome
from loadtests.journal import JournalWriter

UNCERTAIN = frozenset((Outcome.TRANSPORT, Outcome.TIMEOUT, Outcome.SERVER))
"""Ends of an update after which nobody knows whether it holds."""


def journalled(connector: Connector, journal: JournalWriter, tag: str) -> Connector:
    """The connector, with its writing operations noting themselves; returns the same object.

    Every created record is made to carry ``tag``, whatever the journey says.
    """
    inner_create, inner_update = connector.create, connector.update
    inner_delete = connector.delete

    def create(
        entity: str, fields: Mapping[str, Any], *, allow_duplicate: bool = False
    ) -> Talk[One]:
        journal.trying(entity, time.time())
        tagged = {**fields, "source_tag": tag}
        one = yield from inner_create(entity, tagged, allow_duplicate=allow_duplicate)
        journal.made(entity, one.id)
        return one

    def update(entity: str, record_id: str, fields: Mapping[str, Any]) -> Talk[One]:
        begun = time.monotonic()
        try:
            one = yield from inner_update(entity, record_id, fields)
        except CallFailed as problem:
            if problem.outcome in UNCERTAIN:
                journal.updated(entity, record_id, fields, begun)
            raise
        journal.updated(entity, record_id, fields, begun, time.monotonic())
        return one

    def delete(entity: str, record_id: str) -> Talk[None]:
        yield from inner_delete(entity, record_id)
        journal.deleted(entity, record_id)

    replace(connector, create=create, update=update, delete=delete)
    if isinstance(connector, Converts):
        _converting(connector, journal)
    if isinstance(connector, Imports):
        _importing(connector, journal, tag)
    return connector


def _converting(connector: Converts, journal: JournalWriter) -> None:
    inner = connector.convert_lead

    def convert_lead(lead_id: str, deal: Mapping[str, Any] | None = None) -> Talk[dict[str, str]]:
        for entity in ("account", "contact", "deal"):
            journal.trying(entity, time.time())
        ids = yield from inner(lead_id, deal)
        for entity, record_id in ids.items():
            journal.made(entity, record_id)
        return ids

    replace(connector, convert_lead=convert_lead)


def _importing(connector: Imports, journal: JournalWriter, tag: str) -> None:
    inner = connector.bulk_import

    def bulk_import(entity: str, rows: Iterable[Mapping[str, Any]]) -> Talk[ImportReport]:
        journal.trying(entity, time.time())
        marked = [{**row, "source_tag": tag} for row in rows]
        try:
            report = yield from inner(entity, marked)
        except CallFailed as problem:
            if isinstance(problem.details, ImportReport):
                journal.made_many(entity, problem.details.ids)
            raise
        journal.made_many(entity, report.ids)
        return report

    replace(connector, bulk_import=bulk_import)


def replace(connector: object, **methods: Any) -> None:
    """Put functions in the place of an object's methods."""
    for name, function in methods.items():
        setattr(connector, name, function)
