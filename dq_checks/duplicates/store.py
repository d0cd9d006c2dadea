"""The scratch database: prepared records, and what is counted over them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import psutil

from crmops.errors import CannotRun
from dq_checks.duplicates.columns import Array
from dq_checks.duplicates.fields import Entity
from dq_checks.duplicates.model import Holding
from dq_checks.duplicates.prepare import COLUMNS, Script

THREADS = 2
MEMORY = "1800MB"
"""Of DuckDB; what does not fit goes to disk.  The process takes about 500 MB besides."""

PLACES = frozenset(
    {"city", "region", "postcode", "place", "branch", "grouped", "way", "house", "id"}
)
"""Columns that alone make nobody comparable."""

_PREFIX = "crmops-duplicates-"
_EXTRA = "The libraries that find duplicates are an extra: pip install 'crmops[dq]'."


@contextmanager
def scratch(folder: Path | None = None) -> Iterator[Any]:
    """A DuckDB of our own that is gone at the end; ``folder`` is where it may spill.

    Raises CannotRun if the libraries are not installed.
    """
    try:
        import duckdb
        import pyarrow  # noqa: F401  (columns go in by it)
        import splink  # noqa: F401
    except ImportError as error:
        raise CannotRun(f"duplicates need {error.name}", hint=_EXTRA) from error
    sweep(Path(folder or gettempdir()))
    with TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=folder) as place:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": THREADS,
            "memory_limit": MEMORY,
            "temp_directory": place,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        connection = duckdb.connect(":memory:", config=settings)
        try:
            yield connection
        except duckdb.OutOfMemoryException as error:
            raise CannotRun(
                "duplicates do not fit in memory and scratch space",
                hint="Make room where temporary files go (TMPDIR), or give fewer rows.",
            ) from error
        finally:
            connection.close()


def pack(block: Mapping[str, Array]) -> bytes:
    """A block of prepared rows as an Arrow stream, which costs a process almost nothing to read."""
    import pyarrow as pa

    made = pa.table(dict(block))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as stream:
        stream.write_table(made)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def sweep(folder: Path, prefix: str = _PREFIX) -> None:
    """Remove what killed runs of ours left: it may hold rows of a file."""
    for each in folder.glob(f"{prefix}*"):
        pid = each.name.removeprefix(prefix).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(each, ignore_errors=True)


def rare_limit(rows: int) -> int:
    """How many names may have a word that counts as rare."""
    return max(12, rows // 250)


class Records:
    """The prepared rows of one file: table ``records`` with ``row`` (1-based) and the columns."""

    def __init__(
        self, connection: Any, kind: tuple[Entity, Script], *, with_id: bool = False
    ) -> None:
        self.connection = connection
        self.kind = kind
        self.columns = (*COLUMNS[kind], *(["id"] if with_id else []))
        self.rows = 0
        self.comparable = 0
        typed = ", ".join(f"{each} varchar" for each in self.columns)
        connection.execute(f"create or replace table loaded (row integer, {typed})")

    def add(self, block: Mapping[str, Array]) -> None:
        """Add a block of prepared rows."""
        self.add_packed(pack(block))

    def add_packed(self, packed: bytes) -> None:
        """Add a block that was packed by another process."""
        import pyarrow as pa

        made = pa.ipc.open_stream(packed).read_all()
        numbers = pa.array(range(self.rows + 1, self.rows + made.num_rows + 1), pa.int32())
        self.connection.register("incoming", made.add_column(0, "row", numbers))
        self.connection.execute("insert into loaded select * from incoming")
        self.connection.unregister("incoming")
        self.rows += int(made.num_rows)

    def finish(self, holders: Sequence[Holding]) -> None:
        """Count what the settings weigh by: holders of values, and rare words."""
        made, joins = ["loaded.*"], []
        for number, each in enumerate(holders):
            counted = (
                f"select {each.column}, count(distinct {each.of}) as n from loaded"
                f" where {each.column} is not null group by all having n > 1"
            )
            joins.append(
                f"left join ({counted}) h{number} on h{number}.{each.column} = loaded.{each.column}"
            )
            made.append(f"coalesce(h{number}.n, 1)::integer as {each.column}_n")
        if "words" in self.columns:
            self._rare_words()
            joins.append("left join rare_words on rare_words.row = loaded.row")
            made.append("coalesce(rare_words.rare, []) as rare")
        self.connection.execute(
            f"create table records as select {', '.join(made)} from loaded {' '.join(joins)}"
        )
        telling = ", ".join(each for each in self.columns if each not in PLACES)
        counted = f"select count(*) from loaded where coalesce({telling}) is not null"
        self.comparable = self.connection.execute(counted).fetchall()[0][0]
        self.connection.execute("drop table loaded")
        self.connection.execute("drop table if exists rare_words")

    def _rare_words(self) -> None:
        """Of each name the words that few names have, the rarest first."""
        limit = rare_limit(self.rows)
        self.connection.execute(
            "create table rare_words as with each as (select row,"
            " unnest(string_split(words, ' ')) as word from loaded where words is not null),"
            f" known as (select word, count(*) as n from each group by word having n <= {limit})"
            " select row, list(word order by n, word) as rare from each join known using (word)"
            " group by row"
        )
