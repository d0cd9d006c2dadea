"""A CSV file in pieces that other processes can read by themselves: reading costs them, not us.

A piece ends at a line's end outside quotes.  What is no plain CSV (a row too wide, a quote that
does not close) is left to :func:`crmops.tables.rows_of`, which says what is wrong and where.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crmops.tables import CELL_LIMIT
from dq_checks.duplicates.fields import Columns
from dq_checks.duplicates.prepare import Block, block_of

PIECE = 8 << 20
"""Bytes that are read together: enough for speed, few enough for memory."""


class NotPlain(Exception):
    """The file must be read row by row."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a file; ``headed``: the headings are among them."""

    data: bytes
    encoding: str
    headed: bool


def pieces(path: Path, encoding: str) -> Iterator[Piece]:
    """The file in pieces.  Raises NotPlain for a line without an end."""
    kept = b""
    headed, quotes = True, 0
    with path.open("rb") as source:
        if source.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            source.seek(0)
        while chunk := source.read(PIECE):
            whole, left, quotes = _cut(kept, chunk, quotes)
            if whole:
                yield Piece(whole, encoding, headed)
                headed = False
            kept = left
            if len(kept) > PIECE + CELL_LIMIT:
                raise NotPlain
    if kept:
        yield Piece(kept, encoding, headed)


def _cut(kept: bytes, chunk: bytes, quotes: int) -> tuple[bytes, bytes, int]:
    """What has an end, what has none yet, and the quotes counted in what was read of the latter."""
    quotes += chunk.count(b'"')
    odd, end = quotes % 2, len(chunk)
    while (at := chunk.rfind(b"\n", 0, end)) >= 0:
        odd = (odd + chunk.count(b'"', at, end)) % 2
        if not odd:
            rest = chunk[at + 1 :]
            return kept + chunk[: at + 1], rest, rest.count(b'"')
        end = at
    return b"", kept + chunk, quotes


def read_piece(piece: Piece, columns: Columns) -> Block:
    """The columns of a piece.  Raises NotPlain."""
    data = piece.data
    if piece.encoding == "gb18030":
        data = data.decode(piece.encoding).encode()
    if b'"' not in data and data.count(b"\r") == data.count(b"\r\n"):
        made = _by_arrow(data, columns, headed=piece.headed)
        if made is not None:
            return made
    return _by_python(data, columns, headed=piece.headed)


def _by_arrow(data: bytes, columns: Columns, *, headed: bool) -> Block | None:
    import pyarrow as pa
    from pyarrow import csv as arrow

    names = [str(at) for at in range(len(columns.heads))]
    used = {str(at) for at in columns.at.values()}
    try:
        made = arrow.read_csv(
            pa.BufferReader(data),
            arrow.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
            arrow.ParseOptions(quote_char=False),
            arrow.ConvertOptions(
                column_types=dict.fromkeys(used, pa.string()), include_columns=sorted(used)
            ),
        )
    except pa.ArrowInvalid:
        return None
    made = made.slice(1 if headed else 0).combine_chunks()
    return {
        field: pa.concat_arrays(made.column(str(at)).chunks or [pa.array([], pa.string())])
        for field, at in columns.at.items()
    }


def _by_python(data: bytes, columns: Columns, *, headed: bool) -> Block:
    csv.field_size_limit(CELL_LIMIT)
    text = io.StringIO(data.decode(), newline="")
    try:
        rows = [row for row in csv.reader(text, strict=True, skipinitialspace=True) if row]
    except csv.Error as error:
        raise NotPlain from error
    width = len(columns.heads)
    taken = rows[1:] if headed else rows
    if any(len(row) > width and any(each.strip() for each in row[width:]) for row in taken):
        raise NotPlain
    return block_of(taken, columns.at)
