"""Files of text on their way into DuckDB: encodings, head rows, workbooks."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from crmops.errors import CannotRun

_CHUNK = 1 << 22
_TELL_BYTES = 1 << 20


def heading(path: Path, label: str, delimiter: str, shown: str) -> list[str]:
    """The names of the columns of a CSV file in UTF-8.  Raises CannotRun for a bad head row."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        try:
            names = [each.strip() for each in next(csv.reader(lines, delimiter=delimiter), [])]
        except (csv.Error, UnicodeDecodeError):
            names = []
    where = f"{label}: {shown}"
    if not any(names):
        raise CannotRun(f"{where} has no column names", hint="They belong into its first row.")
    if "" in names:
        at = names.index("") + 1
        raise CannotRun(f"{where}: column {at} has no name", hint="Name it or take it out.")
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise CannotRun(f"{where}: two columns are called {twice[0]!r}", hint="Rename one of them.")
    return names


def to_utf8(path: Path, label: str, made: Path) -> Path:
    """The file itself where it is UTF-8; else, made from GB18030, a copy that is.

    Raises CannotRun for a file that is neither, or not text at all.
    """
    if path.stat().st_size == 0:
        raise CannotRun(
            f"{label}: {path.name} is empty", hint="A file begins with a row of column names."
        )
    if _decodes(path, "utf-8"):
        return path
    if not _decodes(path, "gb18030"):
        raise CannotRun(
            f"{label}: {path.name} is neither UTF-8 nor GB18030 text",
            hint="Save it as CSV in UTF-8, or as XLSX.",
        )
    with (
        path.open(encoding="gb18030", newline="") as old,
        made.open("w", encoding="utf-8", newline="") as new,
    ):
        while chunk := old.read(_CHUNK):
            new.write(chunk)
    return made


def _decodes(path: Path, encoding: str) -> bool:
    """Whether the whole file is text of an encoding: the last line counts as much as the first."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                if b"\0" in chunk:
                    return False
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def sheet_to_csv(path: Path, label: str, made: Path) -> None:
    """The first sheet of a workbook as CSV; empty cells are null.  Raises CannotRun."""
    import python_calamine

    try:
        book = python_calamine.load_workbook(path)
        rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except Exception as error:  # its own kinds and Rust's panics alike
        raise CannotRun(
            f"{label}: {path.name} cannot be read as a workbook", hint="Save it as XLSX or CSV."
        ) from error
    if not rows:
        raise CannotRun(
            f"{label}: {path.name} is empty", hint="A file begins with a row of column names."
        )
    with made.open("w", encoding="utf-8", newline="") as out:
        write_rows(out, ([each if each != "" else None for each in row] for row in rows))


def write_rows(out: IO[str], rows: Iterable[Iterable[object]]) -> int:
    """CSV rows in which null and blank differ: every value stands in quotes, null is nothing."""
    count = 0
    for row in rows:
        out.write(",".join("" if each is None else _cell(each) for each in row) + "\n")
        count += 1
    return count


def _cell(value: object) -> str:
    """A value as text: 7.0 is 7, true and false as words, days and moments as ISO 8601."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        text = str(int(value))
    elif isinstance(value, bytes | bytearray | memoryview):
        text = bytes(value).hex()
    else:
        text = str(value.isoformat() if hasattr(value, "isoformat") else value)
    return '"' + text.replace('"', '""') + '"'
