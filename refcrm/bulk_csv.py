"""Reading an uploaded CSV as people send it: other encodings, quoted newlines, ragged rows.

The upload is kept in a temporary file first. Only then is it known whether it is text in one
encoding to its end, and the database never waits for a slow sender.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from refcrm.call import Call
from refcrm.errors import ApiError, invalid
from refcrm.model import Entity

UPLOAD_LIMIT = 512_000_000
"""Bytes of one import; beyond that callers split the file."""
CELL_LIMIT = 2**20
_IN_MEMORY = 2**20
_CHUNK = 2**16
_MEDIA = ("text/csv", "application/csv", "text/plain", "application/octet-stream", "")
# A fixed list: a codec that is loaded only when asked for may be out of reach by then, for a
# server that gave up root.
_ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), "utf-8"),
    **dict.fromkeys(("gb18030", "gbk", "gb2312", "cp936"), "gb18030"),
    "utf-16": "utf-16",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A data row: its 1-based number, and its cells or what is wrong with the row as a whole."""

    number: int
    cells: Sequence[str]
    fault: str | None = None


@asynccontextmanager
async def received(call: Call) -> AsyncIterator[IO[bytes]]:
    """The request's body as a temporary file, gone at the end.

    ApiError 413 beyond UPLOAD_LIMIT, 400 when the sender stops half way, 507 without disk space.
    """
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        size, more = 0, True
        while more:
            message = await call.receive()
            if message["type"] == "http.disconnect":
                raise invalid("the request ended before its body did")
            part = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(part)
            if size > UPLOAD_LIMIT:
                raise ApiError(413, "too_large", f"the file is larger than {UPLOAD_LIMIT} bytes")
            try:
                file.write(part)
            except OSError:
                raise ApiError(507, "no_space", "the server cannot keep the upload") from None
        file.seek(0)
        yield file


def encoding_of(file: IO[bytes], content_type: str | None) -> str:
    """The encoding that the whole file is valid in: the declared one, else UTF-8, else GB18030.

    ApiError 415 for another media type, 400 for text that fits no encoding or is no text.
    """
    media, _, parameters = (content_type or "").partition(";")
    if media.strip().lower() not in _MEDIA:
        raise ApiError(415, "invalid", f"send text/csv, not {media.strip()[:60]}")
    start = file.read(4)
    file.seek(0)
    if not start:
        raise invalid("the file is empty: a header row of field names is needed")
    if start[:4] == b"PK\x03\x04" or start[:4] == b"\xd0\xcf\x11\xe0":
        raise invalid("this is a spreadsheet file: save it as CSV (UTF-8) and send that")
    declared = _declared(parameters)
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        candidates = ["utf-16"]
    elif start[:3] == codecs.BOM_UTF8:
        candidates = ["utf-8"]
    else:
        candidates = [declared] if declared else ["utf-8", "gb18030"]
    first_fault: int | None = None
    for name in candidates:
        fault = _first_unfit_line(file, name)
        if fault is None:
            return "utf-8-sig" if name == "utf-8" else name
        first_fault = first_fault or fault
    tried = " or ".join(candidates)
    raise invalid(f"line {first_fault} is not {tried} text: save the file as CSV (UTF-8)")


def _declared(parameters: str) -> str | None:
    for part in parameters.split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset" and value.strip():
            given = value.strip().strip("\"'").lower()
            if given not in _ENCODINGS:
                raise invalid(f"charset {given[:40]!r} is unknown: use utf-8 or gb18030")
            return _ENCODINGS[given]
    return None


def _first_unfit_line(file: IO[bytes], encoding: str) -> int | None:
    """The 1-based line where the file stops being text in this encoding; None when all fits."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, held = 1, b""
    file.seek(0)
    try:
        while chunk := file.read(_CHUNK):
            held = chunk
            line += decoder.decode(chunk).count("\n")
        held = b""
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line += held[: error.start].count(b"\n")
        return line
    finally:
        file.seek(0)
    return None


def header_of(reader: Iterator[list[str]], entity: Entity) -> list[str]:
    """The field names of the first row; ApiError 400 naming the column that does not fit."""
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error:
        raise invalid("the header row has a quote that does not end") from None
    if not any(names):
        raise invalid("the file is empty: a header row of field names is needed")
    seen: set[str] = set()
    for place, name in enumerate(names, 1):
        _check_name(name, place, names, entity)
        if name in seen:
            raise invalid(f"column {name!r} appears twice", {name: "appears twice"})
        seen.add(name)
    for field in entity.fields:
        if field.required and field.name not in seen:
            raise invalid(f"column {field.name!r} is required", {field.name: "is required"})
    return names


def _check_name(name: str, place: int, names: Sequence[str], entity: Entity) -> None:
    field = entity.by_name.get(name)
    if field is not None and not field.read_only and not field.write_only:
        return
    if field is not None and field.write_only:
        raise invalid(f"column {name!r} cannot be imported: leave it out", {name: "is a secret"})
    if field is not None:
        raise invalid(f"column {name!r} is read only: leave it out", {name: "is read only"})
    if not name:
        raise invalid(f"column {place} has no name")
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in name), None)):
        shown = {"\t": "a tab", ";": "a semicolon", "|": "a bar"}[other]
        raise invalid(f"columns must be separated by commas, this file has {shown}")
    known = [one.name for one in entity.fields if not (one.read_only or one.write_only)]
    near = difflib.get_close_matches(name.lower().replace(" ", "_"), known, 1, 0.5)
    advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    shown = name if len(name) <= 60 else name[:57] + "..."
    raise invalid(f"column {shown!r} is not a field of {entity.name}: {advice}",
                  {shown: "is not a field"})  # fmt: skip


def open_reader(file: IO[bytes], encoding: str) -> Iterator[list[str]]:
    """The rows of the file, header first; quoted cells may span lines."""
    if csv.field_size_limit() != CELL_LIMIT:
        csv.field_size_limit(CELL_LIMIT)
    # The wrapper must not close the upload when it is collected; whoever received it does.
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    return csv.reader(text, strict=True)


def data_rows(reader: Iterator[list[str]], columns: int) -> Iterator[Row]:
    """The rows after the header; empty lines are no rows.

    ApiError 400 when a quote is never closed: where the rows after it begin nobody can know.
    """
    number = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            number += 1
            if "unexpected end" in str(error):
                why = "a quote is opened and not closed"
                raise invalid(f"row {number}: {why}; nothing was imported") from None
            if "limit" in str(error):
                why = (
                    "a quote is opened and not closed, or a cell is longer than "
                    f"{CELL_LIMIT} characters"
                )
                raise invalid(f"row {number}: {why}; nothing was imported") from None
            yield Row(number, (), "has a quote inside a quoted cell: double it")
            continue
        if cells is None:
            return
        if not cells:
            continue
        number += 1
        # Spreadsheets end rows with empty cells beyond the last column.
        while len(cells) > columns and not cells[-1]:
            cells.pop()
        if len(cells) != columns:
            yield Row(number, (), f"has {len(cells)} cells, the header has {columns}")
        else:
            yield Row(number, cells)
