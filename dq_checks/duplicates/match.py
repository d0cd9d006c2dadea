"""New records against known ones: the pairs that a run over both together would find.

Blocks, their caps and who holds a value are counted over both, as if they were one file; only pairs
with a new record are looked at.  New rows are numbered after the known ones.  Rare words of Latin
company names are those of the known records, so there a full run may differ a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dq_checks.duplicates.blocking import KeyCost, budget, cost_of, key_sql
from dq_checks.duplicates.known import Index, Known
from dq_checks.duplicates.odds import comparisons, prior_odds
from dq_checks.duplicates.scoring import KEPT
from dq_checks.duplicates.store import rare_limit

_STATEMENTS = 64


@dataclass(frozen=True, slots=True)
class Match:
    """A pair of a new row and another; ``levels``: which level of each comparison it reaches."""

    new: int
    other: int
    probability: float
    levels: Sequence[int]


@dataclass(slots=True)
class Matches:
    """What was found: ``pairs``, likeliest first, and what it cost.

    ``looked``: whether some new row has a key that few enough share to be compared; ``crowd``: rows
    of the largest block that was too large to be.
    """

    pairs: list[Match] = field(default_factory=list)
    costs: list[KeyCost] = field(default_factory=list)
    candidates: int = 0
    looked: bool = False
    crowd: int = 0


class Matcher:
    """Compares with one store; not for two threads at once.

    The connection is its own.  Statements are planned once and without DuckDB's optimiser: for a
    handful of pairs planning took most of the time.
    """

    def __init__(self, connection: Any, known: Known) -> None:
        self._connection = connection
        self._known = known
        self._comparisons = comparisons(known.model)
        connection.execute("set threads = 1")
        connection.execute("pragma disable_optimizer")
        records = known.records([1] if known.rows else [])
        counted = [f"{each.column}_n" for each in known.model.holders]
        self._table("fresh", records.drop_columns([*counted, "id"]))
        self._table("compared", records)
        connection.execute("create temp table to_compare (l integer, r integer)")
        connection.execute(f"prepare hashing as {self._hashing()}")
        self._statements: dict[frozenset[str], str] = {}
        self._names = records.schema.names

    def _table(self, name: str, like: Any) -> None:
        self._connection.register("incoming", like)
        self._connection.execute(f"create temp table {name} as select * from incoming limit 0")

    def _fill(self, name: str, values: Any) -> None:
        self._connection.execute(f"delete from {name}")
        self._connection.register("incoming", values)
        self._connection.execute(f"insert into {name} by name select * from incoming")

    def match(self, made: Any) -> Matches:
        """Match prepared records: an Arrow table with the columns of the store's kind."""
        import pyarrow as pa

        known = self._known
        numbers = range(known.rows + 1, known.rows + 1 + made.num_rows)
        fresh = made.add_column(0, "row", pa.array(numbers, pa.int32()))
        if known.words is not None:
            fresh = fresh.append_column("rare", self._rare(fresh, known.words))
        self._fill("fresh", fresh)
        hashed = self._connection.execute("execute hashing").fetchnumpy()
        found = Matches()
        left, right = self._pairs(hashed, fresh.num_rows, found)
        found.candidates = len(left)
        if len(left):
            self._fill("compared", self._records(fresh, hashed, left))
            sides = {"l": pa.array(left, pa.int32()), "r": pa.array(right, pa.int32())}
            self._fill("to_compare", pa.table(sides))
            found.pairs = self._score(self._asked(fresh))
        return found

    def _hashing(self) -> str:
        """The hashes of all keys and held values, by one statement."""
        model = self._known.model
        wanted = [f"{key_sql(key)} as key_{at}" for at, key in enumerate(model.keys)]
        for at, each in enumerate(model.holders):
            value = f"case when {each.column} is not null then hash({each.column}) end"
            there = f"{each.column} is not null and {each.of} is not null"
            held = f"case when {there} then hash({each.column}, {each.of}) end"
            wanted += [f"{value} as value_{at}", f"{held} as held_{at}"]
        return f"select {', '.join(wanted)} from fresh order by row"

    def _rare(self, fresh: Any, words: Index) -> Any:
        """Of each new name the words that few known names have."""
        import numpy as np
        import pyarrow as pa

        self._connection.register("incoming", fresh.select(["row", "words"]))
        parts = self._connection.execute(
            "select row, word, hash(word) as hashed from (select row,"
            " unnest(string_split(words, ' ')) as word from incoming where words is not null)"
        ).fetchnumpy()
        low, high = words.between(parts["hashed"])
        counts = np.append(words.of, 0)[np.where(high > low, low, len(words.of))] + 1
        found: dict[int, list[tuple[int, str]]] = {}
        for row, word, count in zip(
            parts["row"].tolist(), parts["word"].tolist(), counts.tolist(), strict=True
        ):
            if count <= rare_limit(self._known.rows):
                found.setdefault(row, []).append((count, word))
        rare = [
            [word for _, word in sorted(found.get(row, []))] for row in fresh["row"].to_pylist()
        ]
        return pa.array(rare, pa.list_(pa.string()))

    def _pairs(self, hashed: Any, new: int, found: Matches) -> tuple[Any, Any]:
        """Pairs of rows, each once: the other before the new one."""
        import numpy as np

        known = self._known
        left_over = budget(known.rows + new)
        made = [np.empty(0, np.int64)]
        for at, key in enumerate(known.model.keys):
            blocks = _Blocks(known.keys[at], hashed[f"key_{at}"], known.rows)
            cost = cost_of(tuple(key), blocks.histogram(known.meta.sizes[at]), left_over)
            left_over -= cost.pairs
            found.costs.append(cost)
            made.append(blocks.pairs(cost.cap))
            crowds = blocks.crowds(cost.cap)
            found.looked |= len(crowds) < blocks.number
            found.crowd = max(found.crowd, int(crowds.max(initial=0)))
        packed = np.unique(np.concatenate(made))
        return packed >> 32, packed & 0xFFFFFFFF

    def _records(self, fresh: Any, hashed: Any, left: Any) -> Any:
        """New records and those known ones that they are compared with."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        others = np.unique(left[left <= self._known.rows])
        known = self._known.records(others)
        for at, each in enumerate(self._known.model.holders):
            name = f"{each.column}_n"
            counts = _holders(self._known.holders[at], hashed[f"value_{at}"], hashed[f"held_{at}"])
            fresh = fresh.append_column(name, counts)
            values = fresh[each.column].combine_chunks()
            places = pc.index_in(known[each.column], value_set=values, skip_nulls=True)
            updated = pc.coalesce(
                counts.take(places.combine_chunks()), known[name].combine_chunks()
            )
            known = known.set_column(known.schema.get_field_index(name), name, updated)
        fresh = fresh.append_column("id", pa.nulls(fresh.num_rows, pa.string()))
        return pa.concat_tables([known, fresh.select(known.schema.names).cast(known.schema)])

    def _asked(self, fresh: Any) -> frozenset[str]:
        """The comparisons for which some new record has what they need: each costs half a ms."""
        there = {name for name in fresh.schema.names if fresh[name].null_count < fresh.num_rows}
        return frozenset(
            each.name for each in self._comparisons if not each.needs or each.needs & there
        )

    def _score(self, asked: frozenset[str]) -> list[Match]:
        import numpy as np

        made = self._connection.execute(f"execute {self._statement(asked)}").fetchnumpy()
        levels = np.zeros((len(made["l"]), len(self._comparisons)), np.int64)
        odds = np.full(len(made["l"]), prior_odds(self._known.model))
        for at, each in enumerate(self._comparisons):
            if each.name in asked:
                levels[:, at] = made[each.name]
                odds *= np.array([level.odds for level in each.levels])[levels[:, at]]
        probability = odds / (1 + odds)
        order = np.lexsort((made["l"], made["r"], -probability))
        kept = order[probability[order] >= KEPT]
        pairs = zip(made["r"][kept].tolist(), made["l"][kept].tolist(), strict=True)
        return [
            Match(new, other, share, reached)
            for (new, other), share, reached in zip(
                pairs, probability[kept].tolist(), levels[kept].tolist(), strict=True
            )
        ]

    def _statement(self, asked: frozenset[str]) -> str:
        """The name of the prepared statement for some comparisons; forms ask for a few sets."""
        if asked not in self._statements:
            if len(self._statements) == _STATEMENTS:
                asked = frozenset(each.name for each in self._comparisons)
            name = f"scoring_{len(self._statements)}"
            if asked not in self._statements:
                self._connection.execute(f"prepare {name} as {self._scoring(asked)}")
                self._statements[asked] = name
        return self._statements[asked]

    def _scoring(self, asked: frozenset[str]) -> str:
        levels = "".join(
            f", {each.case(range(len(each.levels)))} as {each.name}"
            for each in self._comparisons
            if each.name in asked
        )
        sides = "".join(
            f", {table}.{each} as {each}_{side}"
            for table, side in (("a", "l"), ("b", "r"))
            for each in self._names
            if f"{each}_{side}" in levels
        )
        return (
            f"select l, r{levels} from (select l, r{sides} from to_compare"
            " join compared a on a.row = l join compared b on b.row = r)"
        )


class _Blocks:
    """The blocks of one key that hold new rows."""

    def __init__(self, index: Index, hashed: Any, known: int) -> None:
        import numpy as np

        there, values = _present(hashed)
        order = np.argsort(values, kind="stable")
        self._rows = (np.flatnonzero(there) + known + 1)[order]
        self._index = index
        distinct, self._first, self._new = np.unique(
            values[order], return_index=True, return_counts=True
        )
        self._low, high = index.between(distinct)
        self._old = high - self._low

    def histogram(self, sizes: dict[int, int]) -> list[tuple[int, int]]:
        """How many blocks have which size, over known and new rows."""
        found = dict(sizes)
        for old, new in zip(self._old.tolist(), self._new.tolist(), strict=True):
            found[old] = found.get(old, 0) - 1
            found[old + new] = found.get(old + new, 0) + 1
        return sorted((size, number) for size, number in found.items() if size > 1 and number > 0)

    @property
    def number(self) -> int:
        """How many blocks hold new rows."""
        return len(self._new)

    def crowds(self, cap: int) -> Any:
        """Rows of those blocks that are larger than ``cap``; a row alone is none."""
        sizes = self._old + self._new
        return sizes[sizes > max(cap, 1)]

    def pairs(self, cap: int) -> Any:
        """Pairs in blocks of up to ``cap`` rows, the smaller row in the upper 32 bits."""
        import numpy as np

        made = [np.empty(0, np.int64)]
        kept = np.flatnonzero((self._old + self._new <= cap) & (self._old + self._new > 1))
        for at in kept.tolist():
            new = self._rows[self._first[at] : self._first[at] + self._new[at]].astype(np.int64)
            old = self._index.of[self._low[at] : self._low[at] + self._old[at]].astype(np.int64)
            made.append(((old[:, None] << 32) | new[None, :]).ravel())
            if len(new) > 1:
                first, second = np.triu_indices(len(new), 1)
                made.append((new[first] << 32) | new[second])
        return np.concatenate(made)


def _holders(index: Index, values: Any, held: Any) -> Any:
    """For each new row how many different holders its value has, known and new; at least one."""
    import numpy as np
    import pyarrow as pa

    there, hashes = _present(values)
    low, high = index.between(hashes)
    is_held, pairs = _present(held)
    of = np.ma.getdata(values)[is_held].tolist()
    more: dict[int, int] = {}
    starts = dict(zip(hashes.tolist(), zip(low.tolist(), high.tolist(), strict=True), strict=True))
    for value, pair in sorted(set(zip(of, pairs.tolist(), strict=True))):
        first, last = starts[value]
        at = first + int(np.searchsorted(index.of[first:last], np.uint64(pair)))
        if at >= last or index.of[at] != pair:
            more[value] = more.get(value, 0) + 1
    counts = np.ones(len(there), np.int32)
    added = np.array([more.get(value, 0) for value in hashes.tolist()], np.int64)
    counts[there] = np.maximum(high - low + added, 1)
    return pa.array(counts, pa.int32())


def _present(hashed: Any) -> tuple[Any, Any]:
    """Which rows have a value, and those values."""
    import numpy as np

    there = ~np.ma.getmaskarray(hashed)
    return there, np.ma.getdata(hashed)[there].astype(np.uint64)
