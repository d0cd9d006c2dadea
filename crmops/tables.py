"""Tables that people hand us as files: CSV (UTF-8 or GB18030) and XLSX, read row by row."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from crmops.errors import UsageError

CELL_LIMIT = 16 << 20
"""Characters that one cell may have."""

_ENCODINGS = ("utf-8", "gb18030")
_CHUNK = 1 << 20
_ZIP = b"PK\x03\x04"


def plain_heading(text: str) -> str:
    """A heading for comparing: lower case, signs to one space (``Site_Name `` -> ``site name``)."""
    return re.sub(r"[\W_]+", " ", text).strip().lower()


def read_headings(path: Path, rows: Iterator[list[str]]) -> list[str]:
    """Take the first row of ``rows`` as headings, without the blanks around them.

    Raises UsageError if there is none, or if two are the same.
    """
    heads = [each.strip() for each in next(rows, [])]
    if not any(heads):
        raise UsageError(f"{path} is empty", hint="The first row must hold the columns' names.")
    twice = sorted({each for each in heads if each and heads.count(each) > 1})
    if twice:
        raise UsageError(f"{path} has two columns {twice[0]!r}", hint="Rename one of them.")
    return heads


def rows_of(path: Path, encoding: str | None = None) -> Iterator[list[str]]:
    """All rows of a file as text, headings first; memory stays that of one row (XLSX: one sheet).

    A blank after a comma is no part of a cell.  ``encoding``: of a CSV file, where it is known.
    Raises UsageError naming file and line.
    """
    return _xlsx(path) if is_workbook(path) else _csv(path, encoding)


def is_workbook(path: Path) -> bool:
    """Whether a file is read as XLSX, not as CSV.  Raises UsageError if there is no such file."""
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="Give a .csv or .xlsx file.")
    if not path.is_file():
        raise UsageError(f"{path} is no file", hint="Give a .csv or .xlsx file.")
    return _starts_with_zip(path) or path.suffix.lower() == ".xlsx"


def check_width(path: Path, number: int, cells: Sequence[str], width: int) -> None:
    """Refuse a data row that has more cells than headings; empty ones at its end do no harm."""
    if len(cells) > width and any(each.strip() for each in cells[width:]):
        raise UsageError(
            f"{path}: data row {number} has {len(cells)} cells, the heading has {width}",
            hint="A cell with a comma or a line break must stand in quotes.",
        )


def _csv(path: Path, encoding: str | None) -> Iterator[list[str]]:
    csv.field_size_limit(CELL_LIMIT)
    with _opened(path, encoding or encoding_of(path)) as text:
        reader = csv.reader(text, strict=True, skipinitialspace=True)
        try:
            for row in reader:
                if row:
                    yield row
        except csv.Error as error:
            raise UsageError(
                f"{path}: line {reader.line_num} cannot be read: {error}",
                hint="A cell with quotes must double them and close at its end.",
            ) from error


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[TextIO]:
    with path.open(encoding=encoding, newline="") as text:
        yield text


def _starts_with_zip(path: Path) -> bool:
    try:
        with path.open("rb") as source:
            return source.read(4) == _ZIP
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def encoding_of(path: Path) -> str:
    """The first encoding in which the whole of a CSV file makes sense.  Raises UsageError."""
    for name in _ENCODINGS:
        if _decodes(path, name):
            return "utf-8-sig" if name == "utf-8" else name
    raise UsageError(f"{path} is neither UTF-8 nor GB18030", hint="Save it as UTF-8.")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                if b"\0" in chunk:
                    raise UsageError(f"{path} is no CSV file", hint="Give a .csv or .xlsx file.")
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _xlsx(path: Path) -> Iterator[list[str]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    except (OSError, CalamineError, IndexError) as error:
        raise UsageError(f"{path} cannot be read as a workbook: {error}") from error
    for row in sheet.iter_rows():
        yield [_text(each) for each in row]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
