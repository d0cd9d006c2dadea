"""Duplicates in a file, start to end: read, normalise, block, score, cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from typing import Any

from crmops.tables import encoding_of, is_workbook, read_headings, rows_of
from dq_checks.duplicates.blocking import KeyCost, make_pairs, plan_blocking
from dq_checks.duplicates.clusters import cluster, components, inside
from dq_checks.duplicates.fields import Columns, Entity, map_columns
from dq_checks.duplicates.helpers import in_order
from dq_checks.duplicates.known import keep
from dq_checks.duplicates.model import FOLDER, Model, load_model
from dq_checks.duplicates.prepare import Block, Script, blocks, prepare, script_of
from dq_checks.duplicates.reading import NotPlain, pieces, read_piece
from dq_checks.duplicates.scoring import Scored, Scorer
from dq_checks.duplicates.store import Records, pack, scratch

Told = Callable[[str], None]
"""Is told what is being done."""

_COMPLETED = 60


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person asked for; without entity or script they are taken from the file."""

    path: Path
    entity: str | None = None
    script: Script | None = None
    maps: Sequence[str] = ()
    threshold: float | None = None
    models: Path = FOLDER
    keep: Path | None = None
    """Where a store of the records goes, for new ones to be compared with."""
    id_column: str | None = None
    """The column that names the records in the store; else they are their rows."""


@dataclass(frozen=True, slots=True)
class Found:
    """``pairs`` lie inside ``clusters``; both hold 1-based data rows."""

    columns: Columns
    model: Model
    threshold: float
    rows: int
    comparable: int = 0
    costs: Sequence[KeyCost] = ()
    candidates: int = 0
    pairs: Sequence[Scored] = ()
    clusters: Sequence[Sequence[int]] = ()

    @property
    def clustered(self) -> int:
        """Rows that are in a cluster."""
        return sum(len(each) for each in self.clusters)

    @property
    def surplus(self) -> int:
        """Rows that would go if each cluster became one record."""
        return self.clustered - len(self.clusters)


def find_duplicates(wanted: Wanted, told: Told = lambda _: None) -> Found:
    """Find the duplicates in a file.  Raises UsageError for the file, CannotRun for the rest."""
    encoding = None if is_workbook(wanted.path) else encoding_of(wanted.path)
    rows = rows_of(wanted.path, encoding)
    columns = map_columns(
        wanted.path, read_headings(wanted.path, rows), wanted.entity, wanted.maps, wanted.id_column
    )
    with scratch() as connection:
        told("reading")
        records, model = _load(connection, wanted, columns, rows, encoding, told)
        threshold = wanted.threshold or model.threshold
        if records.rows == 0:
            return Found(columns, model, threshold, 0)
        told("counting")
        records.finish(model.holders)
        costs = plan_blocking(connection, model.keys, records.rows)
        if wanted.keep is not None:
            told("keeping")
            keep(connection, wanted.keep, records.kind, model)
        told(f"comparing at most {sum(each.pairs for each in costs):,} pairs")
        candidates = make_pairs(connection, costs)
        scorer = Scorer(connection, model)
        scored = scorer.score(
            "pairs", candidates, lambda done: told(f"compared {done:,} of {candidates:,} pairs")
        )
        told("clustering")
        parts = components(scored, threshold)
        scored += _completed(connection, scorer, scored, parts)
        clusters = cluster(scored, threshold, parts)
    return Found(
        columns, model, threshold, records.rows, records.comparable, costs, candidates,
        _inside(scored, clusters), clusters,
    )  # fmt: skip


def _load(
    connection: Any, wanted: Wanted, columns: Columns, rows: Any, encoding: str | None, told: Told
) -> tuple[Records, Model]:
    """The file prepared; pieces of a plain CSV are read where they are normalised."""
    if encoding is not None:
        read = partial(read_piece, columns=columns)
        try:
            return _filled(connection, wanted, columns, pieces(wanted.path, encoding), read, told)
        except NotPlain:
            told("reading row by row")
    return _filled(connection, wanted, columns, blocks(wanted.path, rows, columns), _as_is, told)


def _as_is(block: Block) -> Block:
    return block


def _filled(
    connection: Any,
    wanted: Wanted,
    columns: Columns,
    parts: Iterator[Any],
    read: Callable[[Any], Block],
    told: Told,
) -> tuple[Records, Model]:
    first = next(parts, None)
    script = wanted.script or (script_of(read(first)) if first else "latin")
    model = load_model(f"{columns.entity}-{script}", wanted.models)
    records = Records(connection, (columns.entity, script), with_id="id" in columns.at)
    if first is not None:
        work = partial(prepared, read=read, entity=columns.entity, script=script)
        for packed in in_order(work, chain([first], parts)):
            records.add_packed(packed)
            told(f"read {records.rows:,} rows")
    return records, model


def prepared(part: Any, read: Callable[[Any], Block], entity: Entity, script: Script) -> bytes:
    """Packed columns of a part of a file: the work of a helper."""
    return pack(prepare(read(part), entity, script))


def _completed(
    connection: Any, scorer: Scorer, scored: Sequence[Scored], parts: Sequence[Sequence[int]]
) -> list[Scored]:
    """Pairs inside small components that no key brought together: to know them is to split well."""
    known = {pair[:2] for _, pair in inside(scored, parts)}
    missing = [
        pair
        for members in parts
        if 2 < len(members) <= _COMPLETED
        for pair in combinations(members, 2)
        if pair not in known
    ]
    if not missing:
        return []
    import pyarrow as pa

    left, right = zip(*missing, strict=True)
    made = pa.table({"l": pa.array(left, pa.int32()), "r": pa.array(right, pa.int32())})
    connection.register("unknown_pairs", made)
    connection.execute(
        "create table more_pairs as select * from unknown_pairs anti join pairs using (l, r)"
    )
    number = connection.execute("select count(*) from more_pairs").fetchall()[0][0]
    return scorer.score("more_pairs", number)


def _inside(scored: Sequence[Scored], clusters: Sequence[Sequence[int]]) -> list[Scored]:
    of = {row: number for number, members in enumerate(clusters) for row in members}
    return sorted(
        (left, right, probability)
        for left, right, probability in scored
        if left in of and of[left] == of.get(right)
    )
