"""Files of records: CSV in UTF-8 or GB18030, XLSX, Parquet; read row by row, refused by name."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crmops.config.reader import nearest
from crmops.errors import UsageError

LONGEST_CELL = 1 << 20
_ENCODINGS = ("utf-8-sig", "gb18030")
_TELL_BYTES = 1 << 20
_ZIP = b"PK\x03\x04"
_PARQUET = b"PAR1"
_BATCH = 2_000


@dataclass(frozen=True)
class Records:
    """The head row of a file and its data rows, each as long as the head."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[str, ...]]


@contextmanager
def reading(path: Path) -> Iterator[Records]:
    """The records of a file.  Raises UsageError saying what is wrong with it, also while the
    rows are read."""
    head = _PARQUET if path.is_dir() else _head(path)
    if not head.strip():
        raise UsageError(f"{path} is empty", hint="A file begins with a row of column names.")
    if head.startswith(_ZIP):
        yield _whole(path, _sheet(path))
        return
    if head.startswith(_PARQUET):
        with _parquet(path) as rows:
            yield _whole(path, rows)
        return
    with path.open(encoding=_encoding(path, head), newline="") as lines:
        yield _whole(path, _lines(path, lines))


def parts(path: Path) -> list[Path]:
    """The Parquet files of a table: itself, or those below its directory; none for other files."""
    if path.is_dir():
        return sorted(each for each in path.rglob("*.parquet") if each.is_file())
    return [path] if _head(path, len(_PARQUET)) == _PARQUET else []


def _head(path: Path, size: int = _TELL_BYTES) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{path} cannot be read: {reason}", hint="Name a readable file.") from None


def mapped(columns: Sequence[str], wanted: Sequence[str], path: Path) -> dict[str, str]:
    """``column=field`` pairs as a mapping.  Raises UsageError for a column that is not there."""
    found = {}
    for each in wanted:
        column, equals, field = each.rpartition("=")
        if not equals or not column or not field:
            raise UsageError(f"--map {each} is no pair", hint="Write --map COLUMN=FIELD.")
        if column not in columns:
            guess = nearest(column, columns)
            meant = f"Did you mean {guess!r}? " if guess else ""
            raise UsageError(
                f"{path.name} has no column {column!r}",
                hint=f"{meant}There are: {', '.join(columns)}.",
            )
        found[column] = field
    return found


def _encoding(path: Path, head: bytes) -> str:
    for each in _ENCODINGS:
        try:
            head.decode(each)
        except UnicodeDecodeError as error:
            # the cut may have gone through a character
            if len(head) == _TELL_BYTES and error.start > len(head) - 4:
                return each
            continue
        return each
    raise UsageError(
        f"{path} is neither UTF-8 nor GB18030 text", hint="Save it as CSV in UTF-8, or as XLSX."
    )


def _lines(path: Path, lines: IO[str]) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            if any("\0" in each for each in row):
                raise UsageError(
                    f"{path}:{reader.line_num}: a NUL character", hint="Save the file as text."
                )
            yield row
    except csv.Error as error:
        raise UsageError(
            f"{path}:{reader.line_num}: {error}", hint="Is a quotation mark open or a cell huge?"
        ) from None
    except UnicodeDecodeError:
        raise UsageError(
            f"{path}:{reader.line_num + 1}: text in another encoding than before",
            hint="Save the whole file in UTF-8.",
        ) from None


def _sheet(path: Path) -> Iterator[list[str]]:
    import python_calamine

    try:
        book = python_calamine.load_workbook(path)
        rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except Exception as error:  # its own kinds and Rust's panics alike
        raise UsageError(
            f"{path} cannot be read as a workbook", hint="Save it as XLSX or as CSV."
        ) from error
    for row in rows:
        yield [_cell(each) for each in row]


@contextmanager
def _parquet(path: Path) -> Iterator[Iterator[list[str]]]:
    import duckdb

    files = [*map(str, parts(path))]
    if not files:
        raise UsageError(f"{path} has no Parquet files", hint="Name a file, or their directory.")
    with duckdb.connect(config={"threads": 1}) as db:
        try:
            # as text, as CSV would have it: times in UTC, true and false, no pytz needed; and
            # what pandas writes for a number that is missing is missing
            described = db.execute("describe select * from read_parquet(?)", [files]).fetchall()
            texts = ", ".join(
                f"nullif({_quoted(name)}, 'nan'::double)::varchar as {_quoted(name)}"
                if kind in ("FLOAT", "DOUBLE")
                else f"{_quoted(name)}::varchar as {_quoted(name)}"
                for name, kind, *_ in described
            )
            # the names are the file's own, quoted
            found = db.execute(f"select {texts} from read_parquet(?)", [files])  # noqa: S608
        except duckdb.Error as error:
            raise _no_parquet(path) from error

        def rows() -> Iterator[list[str]]:
            yield [str(each[0]) for each in found.description or ()]
            try:
                while batch := found.fetchmany(_BATCH):
                    yield from ([each or "" for each in row] for row in batch)
            except duckdb.Error as error:
                raise _no_parquet(path) from error

        yield rows()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _no_parquet(path: Path) -> UsageError:
    return UsageError(
        f"{path} cannot be read as Parquet", hint="Write the file again; is it whole?"
    )


def _cell(value: object) -> str:
    """A cell as CSV would have it: 7.0 is 7, a day has no time."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


def _whole(path: Path, rows: Iterator[list[str]]) -> Records:
    columns = tuple(each.strip() for each in next(rows, []))
    if not any(columns):
        raise UsageError(f"{path} has no column names", hint="They belong into its first row.")
    if "" in columns:
        raise UsageError(
            f"{path}: column {columns.index('') + 1} has no name", hint="Name it or take it out."
        )
    twice = sorted({each for each in columns if columns.count(each) > 1})
    if twice:
        raise UsageError(f"{path}: two columns are called {twice[0]!r}", hint="Rename one of them.")
    return Records(columns, _even(path, len(columns), rows))


def _even(path: Path, width: int, rows: Iterator[list[str]]) -> Iterator[tuple[str, ...]]:
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        if len(row) != width:
            raise UsageError(
                f"{path}: data row {number} has {len(row)} cells, not {width}",
                hint="Look for a comma or a line end that is not in quotation marks.",
            )
        yield tuple(row)
