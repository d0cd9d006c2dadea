"""The powers of the ``rest`` connector: a class for each, joined on when the profile has it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from crmops.connectors._mapping import EntityDialect
from crmops.connectors._profile_powers import Describe, Export, Import
from crmops.connectors._replies import count, json_of, mapping, sequence, text, unreadable
from crmops.connectors._rest import Additions, RestCore, Wanted
from crmops.connectors._rows import (
    ImportSum,
    Row,
    batches,
    count_csv,
    count_lines,
    to_csv,
)
from crmops.connectors._template import look
from crmops.connectors.base import FieldInfo, ImportReport, Page, Record, Talk
from crmops.wire import Reply

RecordList: TypeAlias = list[Record]
S = TypeVar("S")


def given(section: S | None) -> S:
    """A section of the profile that is there: the power would not be without it."""
    if section is None:
        raise TypeError("a power without its section")
    return section


class Converting(RestCore):
    """Has the power Converts."""

    def convert_lead(
        self, lead_id: str, deal: Mapping[str, Any] | None = None
    ) -> Talk[dict[str, str]]:
        operation = given(self.profile.powers.convert)
        leads = self.dialect("lead")
        fields = None if deal is None else self.dialect("deal").to_vendor(deal)
        values = {"id": lead_id, "deal": fields}
        reply = yield from self.ask(self.call(operation, "leads.convert", values, leads))
        body = json_of(reply)
        found = {entity: look(body, spot) for entity, spot in operation.ids.items()}
        return {entity: str(value) for entity, value in found.items() if value is not None}


class Reporting(RestCore):
    """Has the power Reports."""

    def pipeline(self, by: str = "stage") -> Talk[RecordList]:
        operation = given(self.profile.powers.pipeline)
        deals = self.dialect("deal")
        words = {str(neutral): vendor for neutral, vendor in operation.by.items()}
        values = {"by": words.get(by, by)}
        reply = yield from self.ask(self.call(operation, "reports.pipeline", values, deals))
        rows = sequence(look(json_of(reply), operation.rows), reply, "rows")
        return [
            {
                "key": deals.neutral_word(by, look(row, operation.key)),
                "count": look(row, operation.count),
                "amount": look(row, operation.amount),
            }
            for row in rows
        ]


class Exporting(RestCore):
    """Has the power Exports."""

    def export(self, entity: str) -> Talk[int]:
        operation = given(self.profile.powers.export)
        dialect = self.dialect(entity)
        call = self.call(operation, f"{dialect.plural}.export", {}, dialect)
        return _rows_in((yield from self.ask(call)), operation)


class Importing(RestCore):
    """Has the power Imports."""

    def bulk_import(self, entity: str, rows: Iterable[Row]) -> Talk[ImportReport]:
        """In batches of the profile's size; a failure's ``details`` is the report so far."""
        operation = given(self.profile.powers.bulk_import)
        dialect = self.dialect(entity)
        total = ImportSum()
        for batch in batches(rows, operation.batch):
            yield from total.send(batch, self._import(operation, dialect, batch))
        return total.report()

    def _import(
        self, operation: Import, dialect: EntityDialect, batch: Iterable[Row]
    ) -> Talk[ImportReport]:
        records = [dialect.to_vendor(row) for row in batch]
        name = f"{dialect.plural}.import"
        if operation.format == "csv":
            headers = {"content-type": "text/csv; charset=utf-8"}
            extra = Additions(headers=headers, body=to_csv(map(_flat, records)))
            call = self.call(operation, name, {}, dialect, extra)
        else:
            call = self.call(operation, name, {"rows": records}, dialect)
        return _import_report((yield from self.ask(call)), operation, dialect)


class Describing(RestCore):
    """Has the power Describes."""

    def describe(self, entity: str) -> Talk[tuple[FieldInfo, ...]]:
        operation = given(self.profile.powers.describe)
        dialect = self.dialect(entity)
        call = self.call(operation, f"{dialect.plural}.describe", {}, dialect)
        reply = yield from self.ask(call)
        fields = sequence(look(json_of(reply), operation.fields), reply, "fields")
        return tuple(_field(one, reply, operation, dialect) for one in fields)


class Counting(RestCore):
    """Has the power Counts."""

    def count(self, entity: str) -> Talk[int]:
        operation = given(self.profile.powers.count)
        dialect = self.dialect(entity)
        call = self.call(operation, f"{dialect.plural}.count", {}, dialect)
        reply = yield from self.ask(call)
        return count(look(json_of(reply), operation.count), reply, "a count")


class Feeding(RestCore):
    """Has the power Feeds."""

    def modified_since(self, entity: str, since: str, cursor: str | None = None) -> Talk[Page]:
        operation = given(self.profile.powers.feeds).modified
        values, dialect = {"since": since}, self.dialect(entity)
        wanted = Wanted(200, cursor)
        return (yield from self.page(dialect, operation, "modified", values, wanted))

    def deleted_since(self, entity: str, since: str, cursor: str | None = None) -> Talk[Page]:
        operation = given(self.profile.powers.feeds).deleted
        values, dialect = {"since": since}, self.dialect(entity)
        place = dialect.id if operation.id is None else operation.id

        def entry(raw: Any, reply: Reply) -> Record:
            record_id = text(look(raw, place), reply, "an id")
            return {"id": record_id, "deleted_at": look(raw, operation.deleted_at)}

        wanted = Wanted(200, cursor)
        return (yield from self.page(dialect, operation, "deleted", values, wanted, entry))


def _rows_in(reply: Reply, operation: Export) -> int:
    if operation.format == "json":
        return len(sequence(look(json_of(reply), operation.rows), reply, "rows"))
    if operation.format == "ndjson":
        return count_lines(reply.body)
    try:
        return count_csv(reply.body)
    except (UnicodeDecodeError, csv.Error) as error:
        raise unreadable(reply, "an export that is no CSV") from error


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as one row: what lies deeper becomes JSON."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
        for name, value in record.items()
    }


def _import_report(reply: Reply, operation: Import, dialect: EntityDialect) -> ImportReport:
    body = json_of(reply)
    place = operation.rejected
    ids = sequence(look(body, operation.ids), reply, "ids")
    rejected = sequence(look(body, place.at), reply, "rejected rows")
    return ImportReport(
        len(ids),
        tuple(text(one, reply, "ids") for one in ids),
        tuple(
            (
                count(look(row, place.row), reply, "a row number") - place.first + 1,
                dialect.neutral_field(str(look(row, place.field) or "")),
                str(look(row, place.reason) or ""),
            )
            for row in rejected
        ),
    )


def _field(raw: object, reply: Reply, operation: Describe, dialect: EntityDialect) -> FieldInfo:
    field = mapping(raw, reply, "fields")
    name = text(look(field, operation.name), reply, "a field name")
    kind = str(look(field, operation.type))
    length = look(field, operation.max_length)
    values = look(field, operation.values)
    neutral = dialect.neutral_field(name)
    return FieldInfo(
        neutral,
        operation.types.get(kind, "text"),
        bool(look(field, operation.required)),
        bool(look(field, operation.unique)),
        length if isinstance(length, int) else None,
        tuple(str(dialect.neutral_word(neutral, one)) for one in values or ()),
    )
