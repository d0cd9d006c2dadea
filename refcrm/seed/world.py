"""The plan of one seeding: how many rows of what, who owns them, and what time it is.

Rows are made in blocks of about a thousand accounts with all their neighbours. A block depends
only on the seed, the plan and its own number, which keeps memory flat at any size.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from refcrm.seed import rates
from refcrm.seed.pools import Pools

NULL = "\\N"
"""How COPY's text format writes a null."""

DAY = 86_400
BLOCK_CONTACTS = 5_000
_HISTORY_DAYS = 2_200
_BUSINESS_DAYS = 1_095


class Clock:
    """Times as whole seconds since an origin six years before ``as_of``; fast to write out."""

    def __init__(self, as_of: datetime) -> None:
        origin = as_of - timedelta(days=_HISTORY_DAYS)
        self.now = _HISTORY_DAYS * DAY
        self._days = [
            (origin + timedelta(days=day)).strftime("%Y-%m-%d")
            for day in range(_HISTORY_DAYS + 400)
        ]
        self._times = [
            f" {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}+00"
            for second in range(DAY)
        ]

    def stamp(self, at: int) -> str:
        """A timestamptz as COPY reads it."""
        return self._days[at // DAY] + self._times[at % DAY]

    def day(self, at: int) -> str:
        """A date as COPY reads it."""
        return self._days[at // DAY]

    def created(self, share: float) -> int:
        """When the row at this share (0..1) of its table was created: ids grow with time."""
        return self.now - 2 * DAY - int((1.0 - share) * _BUSINESS_DAYS * DAY)


class Owner(NamedTuple):
    """A representative who owns records, with the region of their team."""

    id: int
    team: int
    region: str


class Truth(NamedTuple):
    """One row of the side table ``defects``."""

    entity: str
    record_id: int
    kind: str
    field: str | None
    of_record_id: int | None


class Alike(NamedTuple):
    """One row of the side table ``lookalikes``: a hard negative."""

    entity: str
    record_id: int
    of_record_id: int
    kind: str


@dataclass(frozen=True, slots=True)
class World:
    """Everything that all blocks share."""

    seed: int
    factor: float
    clock: Clock
    pools: Pools
    counts: dict[str, int]
    blocks: int
    owners: tuple[Owner, ...]
    owner_draws: tuple[Owner, ...]
    salt: int

    def block(self, number: int) -> Block:
        """The block of this number, ready to be filled."""
        return Block(self, number, random.Random(f"refcrm {self.seed} block {number}"))


@dataclass(slots=True)
class Block:
    """One share of the work: its random numbers, its ranges of rows, its truth so far."""

    world: World
    number: int
    rng: random.Random
    truth: list[Truth] = field(default_factory=list)
    alike: list[Alike] = field(default_factory=list)

    def rows(self, entity: str) -> range:
        """The 0-based positions of this block's rows in the whole table; ids are one more."""
        total, blocks = self.world.counts[entity], self.world.blocks
        return range(total * self.number // blocks, total * (self.number + 1) // blocks)

    def assign(self, entity: str) -> tuple[list[rates.Rate | None], list[int]]:
        """Deal the planned defects out to this block's rows.

        Returns the defect of each row (None: clean) and the clean rows in random order, both by
        position within the block.
        """
        rows = self.rows(entity)
        order = list(range(len(rows)))
        self.rng.shuffle(order)
        dealt: list[rates.Rate | None] = [None] * len(rows)
        for rate in rates.of_entity(entity):
            share, factor = rate.share, self.world.factor
            begin = rates.upto(share, factor, rows.start)
            for _ in range(rates.upto(share, factor, rows.stop) - begin):
                dealt[order.pop()] = rate
        return dealt, order

    def mark(
        self, entity: str, record: int, kind: str, field: str | None, of: int | None = None
    ) -> None:
        """Note a planted defect for the side table."""
        self.truth.append(Truth(entity, record, kind, field, of))

    def owner(self) -> Owner:
        """A representative, a few of them far more often than most (Zipf)."""
        draws = self.world.owner_draws
        return draws[int(self.rng.random() * len(draws))]

    def fresh(self, created: int, days: int = rates.FRESH_DAYS) -> int:
        """A time of last change that no freshness rule minds: within ``days``, after creation."""
        now = self.world.clock.now
        begin = max(created, now - (days - 2) * DAY)
        return begin + int(self.rng.random() * (now - begin))

    def times(self, entity: str, position: int, days: int = rates.FRESH_DAYS) -> tuple[int, int]:
        """Creation and last change of a clean row."""
        share = (position + self.rng.random()) / self.world.counts[entity]
        created = self.world.clock.created(share)
        return created, self.fresh(created, days)

    def stale_times(self) -> tuple[int, int]:
        """Creation and last change of a row that nobody has touched for 2 to 4 years."""
        age = rates.STALE_DAYS + 1 + self.rng.random() * 700
        updated = self.world.clock.now - int(age * DAY)
        return updated - int(self.rng.random() * 300 * DAY), updated

    def reversed_times(self) -> tuple[int, int]:
        """Creation and last change the wrong way round, both recent enough to be no other fault."""
        updated = self.world.clock.now - int((32 + self.rng.random() * 50) * DAY)
        return updated + int((1 + self.rng.random() * 28) * DAY), updated


def table_sizes(contacts: int) -> dict[str, int]:
    """Rows of each table for so many contacts; one contact has one of every neighbour."""

    def part(divisor: int) -> int:
        return -(-contacts // divisor)

    return {
        "accounts": part(5),
        "contacts": contacts,
        "leads": part(4),
        "deals": part(4),
        "activities": contacts,
        "cases": part(10),
        "quotes": part(10),
        "orders": part(20),
        "campaigns": min(40, part(500)),
        "products": min(60, part(100)),
    }


def midnight() -> datetime:
    """The begin of today in UTC: two seedings on one day give the same times."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def zipf(owners: tuple[Owner, ...], rng: random.Random, slots: int = 4096) -> tuple[Owner, ...]:
    """A table to draw owners from in one step; the n-th of a shuffled order has weight 1/n."""
    if not owners:
        return ()
    ranked = list(owners)
    rng.shuffle(ranked)
    edges = list(accumulate(1.0 / rank for rank in range(1, len(ranked) + 1)))
    size = max(slots, 8 * len(ranked))
    return tuple(
        ranked[min(bisect_right(edges, (slot + 0.5) / size * edges[-1]), len(ranked) - 1)]
        for slot in range(size)
    )
