"""One seeding from begin to end: plan, hire, fill block by block, finish."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from refcrm.errors import RefcrmError
from refcrm.passwords import hash_password
from refcrm.seed import accounts, contacts, deals, leads, load, people, rates, service
from refcrm.seed.codes import MOBILES
from refcrm.seed.pools import Pools, make_pools
from refcrm.seed.world import (
    BLOCK_CONTACTS,
    Block,
    Clock,
    Owner,
    World,
    midnight,
    table_sizes,
    zipf,
)

Progress = Callable[[str, int, int], None]
MOST_CONTACTS = MOBILES // 4


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What a seeding made: rows per table, defects and hard negatives per kind, seconds taken."""

    counts: dict[str, int]
    defects: dict[str, int]
    lookalikes: dict[str, int]
    seconds: float


def seed(  # noqa: PLR0913 - one argument for each option of the command
    database_url: str,
    *,
    contacts: int = 20_000,
    users: int = 600,
    seed: int = 1,
    defects: float = 1.0,
    password: str,
    progress: Progress | None = None,
    as_of: datetime | None = None,
) -> SeedReport:
    """Fill an empty refcrm database with a practice company and its known defects.

    Equal arguments give equal rows; all times are relative to ``as_of`` (default: the last
    midnight in UTC). ``defects`` multiplies the rates of :mod:`refcrm.seed.rates`. Everyone gets
    ``password``. ``progress`` is called with what is done, rows so far and rows in all. It is one
    transaction: killed half way, the database is as empty as before.

    Raises RefcrmError for impossible numbers, an unreachable database, missing tables or a
    database that has rows already.
    """
    _check(contacts, defects)
    begun, tell = time.monotonic(), progress or _quiet
    pools, clock = make_pools(seed), Clock(as_of or midnight())
    rng = random.Random(f"refcrm {seed} people")
    staff = people.hire(users, hash_password(password), pools, rng, clock.stamp(0))
    world = _world(contacts, seed, defects, pools, clock, staff.owners)
    try:
        with psycopg.connect(database_url) as connection:
            load.require_empty(connection)
            load.prepare(connection)
            made = _Tally(Counter(), Counter(), Counter())
            total = sum(world.counts.values()) + len(staff.teams) + len(staff.users)
            _basics(connection, world, staff, made)
            for number in range(world.blocks):
                tell("rows", made.rows.total(), total)
                _fill(connection, world.block(number), made)
            tell("indexes", made.rows.total(), total)
            load.finish(connection, made.rows)
            connection.commit()
            connection.execute("analyze")
    except psycopg.Error as error:
        raise _told(error) from error
    seconds = time.monotonic() - begun
    return SeedReport(dict(made.rows), dict(made.defects), dict(made.alike), seconds)


@dataclass(frozen=True, slots=True)
class _Tally:
    rows: Counter[str]
    defects: Counter[str]
    alike: Counter[str]


def _quiet(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def _check(contacts: int, defects: float) -> None:
    if not 0 <= contacts <= MOST_CONTACTS:
        raise RefcrmError(
            f"contacts must be between 0 and {MOST_CONTACTS}, not {contacts}",
            hint="There are no more mobile numbers to give out.",
        )
    if not 0 <= defects <= rates.MAX_FACTOR:
        raise RefcrmError(
            f"defects must be between 0 and {rates.MAX_FACTOR:g}, not {defects:g}",
            hint="It multiplies the usual rates: 0 plants none, 1 the usual, 3 three times that.",
        )


def _told(error: psycopg.Error) -> RefcrmError:
    """The database's complaint in one line, without the connection's address or password."""
    state = error.sqlstate or "no connection"
    first = str(error.diag.message_primary or "the database could not be reached")
    return RefcrmError(
        f"seeding failed: {first.lower()} ({state})",
        hint="Nothing was stored. Check the database URL, the rights of its role and disk space.",
    )


def _world(
    contacts: int,
    seed: int,
    factor: float,
    pools: Pools,
    clock: Clock,
    owners: tuple[Owner, ...],
) -> World:
    rng = random.Random(f"refcrm {seed} world")
    draws = zipf(owners, rng)
    blocks, salt = -(-contacts // BLOCK_CONTACTS), rng.randrange(10**9)
    counts = table_sizes(contacts)
    return World(seed, factor, clock, pools, counts, blocks, owners, draws, salt)


def _basics(connection: load.Connection, world: World, staff: people.Staff, made: _Tally) -> None:
    """Teams, users, campaigns and products: too few to be worth blocks."""
    for table, columns, lines in (
        ("teams", people.TEAM_COLUMNS, staff.teams),
        ("users", people.USER_COLUMNS, staff.users),
        ("campaigns", service.CAMPAIGN_COLUMNS, service.campaigns(world)),
        ("products", service.PRODUCT_COLUMNS, service.products(world)),
    ):
        made.rows[table] = load.copy_lines(connection, table, columns, lines)


def _fill(connection: load.Connection, block: Block, made: _Tally) -> None:
    """Make one block and write it; the order of making is part of what the seed decides."""
    firms, sound_firms = accounts.make(block)
    persons, sound_persons = contacts.make(block, firms)
    offers, sound_offers = deals.make(block, sound_persons)
    quote_lines, quoted = deals.quotes(block, sound_offers)
    tables = (
        ("accounts", accounts.COLUMNS, accounts.rows(block, firms)),
        ("contacts", contacts.COLUMNS, contacts.rows(block, persons)),
        ("leads", leads.COLUMNS, leads.rows(block, leads.make(block, sound_firms, sound_persons))),
        ("deals", deals.COLUMNS, deals.rows(block, offers)),
        ("quotes", deals.QUOTE_COLUMNS, quote_lines),
        ("orders", deals.ORDER_COLUMNS, deals.orders(block, quoted)),
        ("activities", service.ACTIVITY_COLUMNS,
         service.activities(block, sound_persons, sound_offers)),
        ("cases", service.CASE_COLUMNS, service.cases(block, sound_persons)),
    )  # fmt: skip
    for table, columns, lines in tables:
        made.rows[table] += load.copy_lines(connection, table, columns, lines)
    load.copy_lines(connection, "defects", load.TRUTH_COLUMNS, load.side_lines(block.truth))
    load.copy_lines(connection, "lookalikes", load.ALIKE_COLUMNS, load.side_lines(block.alike))
    made.defects.update(truth.kind for truth in block.truth)
    made.alike.update(alike.kind for alike in block.alike)
