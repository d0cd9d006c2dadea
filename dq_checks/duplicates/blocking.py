"""Which records are compared at all, and what that costs, known before anything is compared.

Every key has a cap on how many records may share a value of it, and all keys together a budget of
pairs that is linear in the rows: narrow keys are served first, broad ones get what is left, with
the cap that just fits.  So a name like 张伟 blocks in a thousand rows and not in a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDEST = 120
"""Records that may share a value of a key, at most."""

_PER_ROW = 2
_PER_ROW_SMALL = 40
_SMALL = 300_000


@dataclass(frozen=True, slots=True)
class KeyCost:
    """What a key costs: ``pairs`` at most, of blocks with up to ``cap`` records.

    ``left_out``: records in larger blocks, which this key does not compare.
    """

    key: tuple[str, ...]
    cap: int
    pairs: int
    left_out: int


def budget(rows: int) -> int:
    """Pairs that may be compared in all: 40 a row for small files, 2 a row for large ones."""
    return max(_PER_ROW * rows, min(_PER_ROW_SMALL * rows, _SMALL))


def plan_blocking(connection: Any, keys: Sequence[Sequence[str]], rows: int) -> list[KeyCost]:
    """Cost every key.  Makes table ``key_<n>`` with the row and the hash of each value."""
    left = budget(rows)
    costs = []
    for number, key in enumerate(keys):
        connection.execute(_key_table(number, key))
        histogram = connection.execute(
            f"select n, count(*) from (select count(*) as n from key_{number} group by value"
            " having n > 1) group by n order by n"
        ).fetchall()
        cost = cost_of(tuple(key), histogram, left)
        left -= cost.pairs
        costs.append(cost)
    return costs


def _key_table(number: int, key: Sequence[str]) -> str:
    return (
        f"create table key_{number} as select * from"
        f" (select {key_sql(key)} as value, row from records) where value is not null"
    )


def key_sql(key: Sequence[str]) -> str:
    """The hash of a key's value; nothing where a part of it is missing."""
    there = " and ".join(f"({each}) is not null" for each in key)
    return f"case when {there} then hash({', '.join(key)}) end"


def cost_of(key: tuple[str, ...], histogram: Sequence[tuple[int, int]], left: int) -> KeyCost:
    """What a key costs if ``left`` pairs may still be compared.

    ``histogram``: size of blocks and how many have it, small ones first.
    """
    cap, pairs, left_out = 0, 0, 0
    open_ = True
    for size, blocks in histogram:
        more = blocks * size * (size - 1) // 2
        open_ = open_ and size <= WIDEST and pairs + more <= left
        if open_:
            cap, pairs = size, pairs + more
        else:
            left_out += blocks * size
    return KeyCost(key, cap, pairs, left_out)


def make_pairs(connection: Any, costs: Sequence[KeyCost]) -> int:
    """Make table ``pairs`` (batch, l < r), each pair once; returns their number."""
    joined = " union all ".join(
        _pairs_of(number, cost.cap) for number, cost in enumerate(costs) if cost.cap > 1
    )
    if not joined:
        connection.execute("create table pairs (l integer, r integer)")
    else:
        connection.execute(f"create table pairs as select distinct l, r from ({joined})")
    for number in range(len(costs)):
        connection.execute(f"drop table key_{number}")
    found: int = connection.execute("select count(*) from pairs").fetchall()[0][0]
    return found


def _pairs_of(number: int, cap: int) -> str:
    blocks = f"select value from key_{number} group by value having count(*) between 2 and {cap}"
    kept = f"select value, row from key_{number} where value in ({blocks})"
    return (
        f"select a.row as l, b.row as r from ({kept}) a join ({kept}) b"
        " on a.value = b.value and a.row < b.row"
    )
