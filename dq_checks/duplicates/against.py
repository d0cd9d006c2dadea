"""A file of new records against a store of known ones, start to end."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from crmops.errors import CannotRun, UsageError
from crmops.tables import read_headings, rows_of
from dq_checks.duplicates.fields import Columns, map_columns
from dq_checks.duplicates.find import Told, Wanted
from dq_checks.duplicates.known import Known, is_store
from dq_checks.duplicates.match import Match, Matcher, Matches
from dq_checks.duplicates.model import Model
from dq_checks.duplicates.odds import comparisons
from dq_checks.duplicates.prepare import blocks, prepare
from dq_checks.duplicates.store import PLACES, scratch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
STORES = "duplicates"
"""The directory of stores, below the state directory."""


@dataclass(frozen=True, slots=True)
class Compared:
    """``pairs``: those that are one; ``ids``: what the store calls its rows."""

    columns: Columns
    known: Known
    threshold: float
    rows: int
    comparable: int
    matches: Matches
    pairs: Sequence[Match]
    ids: Mapping[int, str]

    @property
    def rows_known(self) -> int:
        """New rows that are one with a known record."""
        return len({each.new for each in self.pairs if each.other <= self.known.rows})

    @property
    def rows_again(self) -> int:
        """New rows that are one with a known record or with an earlier new row."""
        return len({each.new for each in self.pairs})


def store_place(state_dir: Path, name: str) -> Path:
    """Where the store of a name is.  Raises UsageError for an odd name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a store",
            hint="Use letters, digits, - and _, such as contacts.",
        )
    return state_dir / STORES / name


def stores_in(state_dir: Path) -> list[str]:
    """The names of the stores that there are.  Raises CannotRun."""
    folder = state_dir / STORES
    try:
        found = list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CannotRun(f"{folder} cannot be read: {error.strerror}") from error
    return sorted(each.name for each in found if _NAME.fullmatch(each.name) and is_store(each))


def compare(wanted: Wanted, known: Known, told: Told = lambda _: None) -> Compared:
    """Compare the rows of a file with a store.  Raises UsageError for the file, CannotRun else."""
    import pyarrow as pa

    meta = known.meta
    if wanted.entity not in {None, meta.entity} or wanted.script not in {None, meta.script}:
        raise UsageError(
            f"the store {known.folder.name} is of {meta.settings}, "
            f"not of {wanted.entity or meta.entity}-{wanted.script or meta.script}",
            hint="Leave --entity and --script out: the store knows them.",
        )
    rows = rows_of(wanted.path)
    columns = map_columns(wanted.path, read_headings(wanted.path, rows), meta.entity, wanted.maps)
    threshold = wanted.threshold or known.model.threshold
    told("reading")
    made = [
        pa.table(prepare(each, meta.entity, meta.script))
        for each in blocks(wanted.path, rows, columns)
    ]
    if not made:
        return Compared(columns, known, threshold, 0, 0, Matches(), (), {})
    fresh = pa.concat_tables(made)
    told(f"comparing {fresh.num_rows:,} rows with {known.rows:,} known ones")
    with scratch() as connection:
        matches = Matcher(connection, known).match(fresh)
    pairs = [each for each in matches.pairs if each.probability >= threshold]
    return Compared(
        columns, known, threshold, fresh.num_rows, comparable(fresh), matches, pairs,
        ids_of(known, pairs),
    )  # fmt: skip


def comparable(fresh: Any) -> int:
    """Prepared rows that hold more than a place."""
    import pyarrow.compute as pc

    telling = [fresh[each] for each in fresh.schema.names if each not in PLACES]
    there = reduce(pc.or_, [pc.is_valid(each) for each in telling])
    return int(pc.sum(there).as_py() or 0)


def ids_of(known: Known, pairs: Sequence[Match]) -> dict[int, str]:
    """What the store calls the known rows of some pairs."""
    rows = sorted({each.other for each in pairs if each.other <= known.rows})
    if not rows:
        return {}
    found = known.records(rows)
    return dict(zip(found["row"].to_pylist(), found["id"].to_pylist(), strict=True))


@dataclass(frozen=True, slots=True)
class Reason:
    """What speaks for (positive bits) or against two records being one."""

    field: str
    what: str
    bits: float


def reasons_of(model: Model, match: Match) -> list[Reason]:
    """The reasons of a pair, the weightiest first; what is missing is none."""
    found = []
    for comparison, at in zip(comparisons(model), match.levels, strict=True):
        level = comparison.levels[at]
        if level.label != "missing":
            found.append(Reason(comparison.name, level.label, round(level.bits, 2)))
    return sorted(found, key=lambda each: -abs(each.bits))


def matches_csv(made: Compared) -> str:
    """One line a pair: ``row``, ``known`` (id) or ``other_row``, ``probability``, ``reasons``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "known", "other_row", "probability", "reasons"))
    first = made.known.rows
    for each in sorted(made.pairs, key=lambda pair: (pair.new, -pair.probability, pair.other)):
        known, other = made.ids.get(each.other, ""), each.other - first
        why = "; ".join(f"{a.field} {a.what}" for a in reasons_of(made.known.model, each))
        place = (known, "") if each.other <= first else ("", other)
        writer.writerow((each.new - first, *place, f"{each.probability:.6f}", why))
    return text.getvalue()


def summary(made: Compared) -> dict[str, Any]:
    """What was done and found, without any row."""
    meta = made.known.meta
    return {
        "schema": 1,
        "settings": meta.settings,
        "store": {"name": made.known.folder.name, "id": meta.id, "rows": meta.rows},
        "threshold": made.threshold,
        "columns": made.columns.by_field(),
        "columns_left_out": list(made.columns.unused),
        "rows": made.rows,
        "rows_comparable": made.comparable,
        "candidate_pairs": made.matches.candidates,
        "pairs": len(made.pairs),
        "rows_known": made.rows_known,
        "rows_again": made.rows_again,
    }
