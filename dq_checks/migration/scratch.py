"""A scratch place: a DuckDB that spills to disk, and files; gone at the end, also after kill -9."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from crmops.errors import CannotRun

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_PREFIX = "crmops-migration-"
_MEMORY_SHARE = 0.4


@dataclass(frozen=True)
class Scratch:
    """``directory`` is readable by nobody else: it holds contents while a comparison runs."""

    directory: Path
    database: DuckDBPyConnection


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A scratch place.  Raises CannotRun when there is no room for one."""
    import duckdb

    _sweep()
    try:
        directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    except OSError as error:
        raise CannotRun(
            f"there is no room for scratch files: {(error.strerror or str(error)).lower()}",
            hint="Set TMPDIR to a directory with room.",
        ) from error
    try:
        with duckdb.connect() as database:
            _settle(database, directory)
            yield Scratch(directory, database)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _settle(database: DuckDBPyConnection, directory: Path) -> None:
    """No downloads of extensions, UTC, a bounded part of the memory, the rest on disk."""
    mebibytes = int(psutil.virtual_memory().available * _MEMORY_SHARE) >> 20
    for statement in (
        "SET autoinstall_known_extensions = false",
        "SET TimeZone = 'UTC'",
        "SET preserve_insertion_order = false",
        f"SET memory_limit = '{max(mebibytes, 256)}MiB'",
        f"SET temp_directory = '{directory / 'spill'}'",
    ):
        database.execute(statement)


def _sweep() -> None:
    """Takes away what killed processes of this user have left."""
    for each in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        number = each.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            ours = each.stat().st_uid == os.getuid()
        except OSError:
            continue
        if ours and number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(each, ignore_errors=True)
