"""A file or a snapshot for Spark: Parquet where it lies, anything else copied into Parquet."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from crmops.errors import CannotRun, UsageError
from dq_checks.files import mapped, parts, reading
from dq_checks.lake import Lake, LakeTable
from dq_checks.scratch import Guess, Scratch, compared, parsed
from dq_checks.settings import SparkSettings
from dq_checks.snapshot import beside, columns_in, fit, read_of, tables_in
from dq_checks.suite import Suite

_BATCH = 20_000


@contextmanager
def lake(path: Path, suite: Suite, pairs: Sequence[str], spark: SparkSettings) -> Iterator[Scratch]:
    """Describe a file or a snapshot for the worker; what is copied is removed at the end.

    As :func:`dq_checks.scratch.scratch`, but Parquet files keep their types, and a snapshot that
    has nothing else answers rules in SQL too.  Raises UsageError, CannotRun.
    """
    folder = Path(tempfile.mkdtemp(prefix="crmops-dq-"))
    try:
        tables = tables_in(path, suite)
        heads = {name: columns_in(each) for name, each in tables.items()}
        names = mapped(heads[suite.table], pairs, path)
        columns = [names.get(each, each) for each in heads[suite.table]]
        whole = path.is_dir() and tables[suite.table] != path
        sql = whole and all(map(parts, tables.values()))
        fitting = fit(suite, {**heads, suite.table: columns}, path, sql=sql)
        _check_place(tables, spark)
        own = dict(zip(columns, heads[suite.table], strict=True))
        described = [_audited(tables[suite.table], fitting, own, folder)]
        for name, wanted in beside(fitting).items():
            own = {each: each for each in heads[name] if each in wanted}
            described.append(_beside(tables[name], name, own, folder))
        made = Lake(tables=tuple(described), master=spark.master, memory=spark.memory)
        (folder / "lake.json").write_text(made.model_dump_json(), encoding="utf-8")
        left = {each.id for each in suite.rules} - {each.id for each in fitting.rules}
        yield Scratch(f"spark:///{folder / 'lake.json'}", fitting, tuple(sorted(left)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_place(tables: Mapping[str, Path], spark: SparkSettings) -> None:
    copied = [each for each in tables.values() if not parts(each)]
    if copied and not spark.master.startswith("local"):
        raise UsageError(
            f"{copied[0].name} would be copied to this machine, which {spark.master} does not see",
            hint="Write it as Parquet where the cluster reads, or set dq.spark.master: local[*].",
        )


def _audited(path: Path, suite: Suite, own: dict[str, str], folder: Path) -> LakeTable:
    """The audited table; ``own`` has the file's name of each column."""
    wanted = read_of(suite) | {suite.key}
    columns = {name: each for name, each in own.items() if name in wanted}
    number = suite.key if suite.key not in columns else ""
    typed = tuple(sorted(compared(suite) & {*columns}))
    if not parts(path):
        return _copied(path, suite.table, columns, folder, number, typed)
    if number and path.is_dir():
        raise UsageError(
            f"{path} has no column {suite.key!r}, by which its records could be named",
            hint="Say which it is with --map COLUMN=" + suite.key + ", or audit one file.",
        )
    return LakeTable(
        name=suite.table, path=str(path.resolve()), columns=columns, numbered=number, typed=typed
    )


def _beside(path: Path, table: str, own: dict[str, str], folder: Path) -> LakeTable:
    if not parts(path):
        return _copied(path, table, own, folder)
    return LakeTable(name=table, path=str(path.resolve()), columns=own)


def _copied(
    path: Path,
    table: str,
    columns: dict[str, str],
    folder: Path,
    number: str = "",
    typed: Sequence[str] = (),
) -> LakeTable:
    """A copy as Parquet, read twice: first for the types of the columns that are compared."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = _types(path, {name: columns[name] for name in typed})
    names = [*columns, number] if number else [*columns]
    arrow = {"numeric": pa.float64(), "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC")}
    schema = pa.schema([(each, arrow.get(kinds.get(each, ""), pa.string())) for each in names])
    target = folder / f"{len([*folder.iterdir()])}.parquet"
    try:
        with reading(path) as records, pq.ParquetWriter(target, schema) as out:
            places = [records.columns.index(each) for each in columns.values()]
            rows = enumerate(records.rows, 1)
            while batch := list(islice(rows, _BATCH)):
                arrays: list[Any] = [
                    [_value(row[at], kinds.get(name, "")) for _, row in batch]
                    for name, at in zip(columns, places, strict=True)
                ]
                if number:
                    arrays.append([str(each) for each, _ in batch])
                out.write_table(pa.table(dict(zip(schema.names, arrays, strict=True)), schema))
    except OSError as error:
        raise CannotRun(
            f"the copy for Spark cannot be written: {error.strerror or error}",
            hint="Give the directory of temporary files space, or set TMPDIR.",
        ) from None
    return LakeTable(name=table, path=str(target), columns={name: name for name in schema.names})


def _types(path: Path, wanted: dict[str, str]) -> dict[str, str]:
    """The narrowest type that all values of each column have; only those that are no text."""
    guesses = {name: Guess() for name in wanted}
    if wanted:
        with reading(path) as records:
            places = [(guesses[name], records.columns.index(each)) for name, each in wanted.items()]
            for row in records.rows:
                for guess, at in places:
                    guess.see(row[at])
    return {name: each.kind for name, each in guesses.items() if each.kind}


def _value(text: str, kind: str) -> Any:
    return parsed(text, kind) if kind else text
