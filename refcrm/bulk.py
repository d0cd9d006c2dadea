"""Bulk import and export over HTTP, and the routes of the feeds.

ROUTES is what the server mounts, before its own ``/{entity}/{id}`` routes.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from starlette.responses import StreamingResponse

from refcrm import feeds
from refcrm.bulk_csv import Row, data_rows, encoding_of, header_of, open_reader, received
from refcrm.bulk_store import BATCH, Importer
from refcrm.call import Answer, Call, Handler, answer
from refcrm.database import Record
from refcrm.errors import invalid
from refcrm.model import Entity
from refcrm.records import writable
from refcrm.sql import Arguments, columns, visible

BULK_ROLES = ("manager", "admin", "integration")
_MEDIA = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_ROWS_AT_ONCE = 500
# A slow reader may take its time, but must not hold old row versions for ever.
_PATIENCE = "set local idle_in_transaction_session_timeout = '10min'"


class Route(NamedTuple):
    """One route: roles empty means everybody who is logged in."""

    method: str
    path: str
    handler: Handler
    action: str
    roles: tuple[str, ...]


async def import_csv(call: Call) -> Answer:
    """POST /api/v1/bulk/{entity}/import: a CSV with a header of field names.

    200 with what was imported and every rejected row; 400 when the file as a whole does not
    fit, and then nothing is stored. Rows that look like stored ones are taken, unless
    ``?allow_duplicate=false``: what is a duplicate is for an audit to say.
    """
    entity, who = writable(call), call.principal
    refuse = call.query.get("allow_duplicate", "true").lower() == "false"
    async with received(call) as file:
        # Decoding a large file once through must not hold up everybody else.
        encoding = await asyncio.to_thread(encoding_of, file, call.header(b"content-type"))
        reader = open_reader(file, encoding)
        names = header_of(reader, entity)
        async with call.services.database.transaction() as connection:
            await connection.execute(f"set local application_name = '{feeds.IMPORTING}'")
            importer = await Importer.begin(
                connection, entity, who, names, refuse_duplicates=refuse,
                loses_row=call.services.faults.loses_write,
            )  # fmt: skip
            batch: list[Row] = []
            for row in data_rows(reader, len(names)):
                batch.append(row)
                if len(batch) >= BATCH:
                    await importer.store(batch)
                    batch = []
            await importer.store(batch)
    outcome = importer.outcome
    outcome.rejected.sort(key=lambda entry: entry["row"])
    return answer(
        {
            "imported": len(outcome.ids),
            "ids": outcome.ids,
            "rejected": outcome.rejected,
            "encoding": encoding.removesuffix("-sig"),
        }
    )


async def export(call: Call) -> StreamingResponse:
    """GET /api/v1/bulk/{entity}/export?format=csv|ndjson: every record the caller may see.

    Values go out as they are stored, formulas too: this is for programs, and an export that
    changes data is none.
    """
    kind = call.query.get("format", "csv")
    if kind not in _MEDIA:
        raise invalid("the format does not fit", {"format": "must be csv or ndjson"})
    entity, arguments = call.entity, Arguments()
    mine = visible(entity, call.reader, arguments)
    statement = f"select {columns(entity)} from {entity.name} r where true{mine} order by r.id"
    pages = _pages(call, statement, arguments.values)
    # The first page is fetched before the status goes out: a failure is then a proper reply.
    first: list[Record] = await anext(pages, [])
    body = (_csv if kind == "csv" else _ndjson)(entity, first, pages)
    name = f'attachment; filename="{entity.name}.{kind}"'
    return StreamingResponse(body, media_type=_MEDIA[kind], headers={"content-disposition": name})


async def _pages(
    call: Call, statement: str, arguments: Sequence[Any]
) -> AsyncIterator[list[Record]]:
    async with call.services.database.transaction() as connection:
        await connection.execute("set transaction read only")
        await connection.execute(_PATIENCE)
        cursor = await connection.cursor(statement, *arguments)
        while page := await cursor.fetch(_ROWS_AT_ONCE):
            yield page


async def _ndjson(
    entity: Entity, first: list[Record], pages: AsyncIterator[list[Record]]
) -> AsyncIterator[bytes]:
    del entity
    options = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_APPEND_NEWLINE
    async for page in _chain(first, pages):
        yield b"".join(orjson.dumps(row, dict, options) for row in page)


async def _csv(
    entity: Entity, first: list[Record], pages: AsyncIterator[list[Record]]
) -> AsyncIterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([one.name for one in entity.fields if not one.write_only])
    async for page in _chain(first, pages):
        writer.writerows([_cell(value) for value in row.values()] for row in page)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    if buffer.tell():
        yield buffer.getvalue().encode()


async def _chain(
    first: list[Record], pages: AsyncIterator[list[Record]]
) -> AsyncIterator[list[Record]]:
    if first:
        yield first
    async for page in pages:
        yield page


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


ROUTES: tuple[Route, ...] = (
    Route("POST", "/api/v1/bulk/{entity}/import", import_csv, "import", ()),
    Route("GET", "/api/v1/bulk/{entity}/export", export, "export", BULK_ROLES),
    Route("GET", "/api/v1/{entity}/modified", feeds.modified, "feed", ()),
    Route("GET", "/api/v1/{entity}/deleted", feeds.deleted, "feed", ()),
)
