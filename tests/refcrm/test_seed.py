"""Seeding a real embedded PostgreSQL: the same every time, and exactly as bad as it says."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from refcrm import cluster, schema
from refcrm.errors import RefcrmError
from refcrm.passwords import check_password
from refcrm.seed import SeedReport, rates, seed
from refcrm.seed.words import REGIONS

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
TABLES = (
    "teams", "users", "accounts", "contacts", "leads", "deals", "activities", "cases",
    "campaigns", "products", "quotes", "orders", "defects", "lookalikes",
)  # fmt: skip


@dataclass(frozen=True)
class Seeded:
    """A seeded database and what the seeder said about it."""

    url: str
    report: SeedReport

    def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), arguments or None).fetchall()

    def ids(self, query: str) -> set[int]:
        return {row[0] for row in self.rows(query)}

    def truth(self, entity: str, kind: str, field: str | None) -> set[int]:
        query = (
            "select record_id from defects where entity = %s and kind = %s "
            "and field is not distinct from %s"
        )
        return {row[0] for row in self.rows(query, entity, kind, field)}


NewDatabase = Callable[[], str]


@pytest.fixture(scope="module")
def new_database() -> Iterator[NewDatabase]:
    """Makes databases with the CRM's tables on one embedded PostgreSQL."""
    place = Path(tempfile.mkdtemp(prefix="seed-", dir="/tmp"))
    place.chmod(0o755)
    running = cluster.start(place / "crm")
    made: list[str] = []

    async def make() -> str:
        name = f"seed{len(made)}"
        admin = await asyncpg.connect(running.url("postgres", "postgres"))
        await admin.execute(f"create database {name} owner crm")
        await admin.close()
        extension = await asyncpg.connect(running.url("postgres", name))
        await extension.execute("create extension if not exists pg_trgm")
        await extension.close()
        owner = await asyncpg.connect(running.url("crm", name))
        await schema.apply(owner)
        await owner.close()
        made.append(name)
        return running.url("crm", name)

    try:
        yield lambda: asyncio.run(make())
    finally:
        cluster.stop(place / "crm")
        shutil.rmtree(place, ignore_errors=True)


def fill(url: str, *, contacts: int = 2_000, users: int = 30, **changes: Any) -> Seeded:
    options: dict[str, Any] = {"seed": 7, "defects": 1.0, "password": "pw", "as_of": AS_OF}
    report = seed(url, contacts=contacts, users=users, **{**options, **changes})
    return Seeded(url, report)


@pytest.fixture(scope="module")
def usual(new_database: NewDatabase) -> Seeded:
    """12,000 contacts (three blocks) with the usual defects."""
    return fill(new_database(), contacts=12_000, users=60)


@pytest.fixture(scope="module")
def spotless(new_database: NewDatabase) -> Seeded:
    """3,000 contacts without a defect."""
    return fill(new_database(), contacts=3_000, defects=0.0)


def digest(seeded: Seeded) -> dict[str, str]:
    """A digest of every table's content but the password hash, whose salt is random."""
    found = {}
    for table in TABLES:
        query = (
            f"select md5(string_agg(md5((to_jsonb(t) - 'password_hash')::text), '' order by id)) "
            f"from {table} t"
        )
        found[table] = seeded.rows(query)[0][0]
    return found


def test_same_seed_gives_same_rows_and_another_seed_others(new_database: NewDatabase) -> None:
    first, second = fill(new_database()), fill(new_database())
    other = fill(new_database(), seed=8)
    assert digest(first) == digest(second)
    assert digest(first)["contacts"] != digest(other)["contacts"]
    assert digest(first)["defects"] != digest(other)["defects"]


def test_report_counts_what_is_in_the_tables(usual: Seeded) -> None:
    counts = usual.report.counts
    assert counts == {table: usual.rows(f"select count(*) from {table}")[0][0] for table in counts}
    assert counts["accounts"] == 2_400
    assert counts["leads"] == counts["deals"] == 3_000
    assert counts["activities"] == 12_000
    assert counts["cases"] == counts["quotes"] == 1_200
    kinds = dict(usual.rows("select kind, count(*) from defects group by kind"))
    assert usual.report.defects == kinds
    alike = dict(usual.rows("select kind, count(*) from lookalikes group by kind"))
    assert usual.report.lookalikes == alike
    assert usual.report.seconds > 0


# What an auditor without the side table would find: entity, kind, field, query of ids.
FINDINGS: tuple[tuple[str, str, str | None, str], ...] = (
    *(
        (entity, rates.MISSING, field, f"select id from {entity} where coalesce({field}, '') = ''")
        for entity, field in (
            ("contacts", "email"), ("contacts", "mobile"), ("contacts", "name"),
            ("contacts", "title"), ("accounts", "uscc"), ("accounts", "name"),
            ("accounts", "phone"), ("leads", "email"), ("leads", "mobile"), ("leads", "company"),
        )
    ),
    *(
        (entity, rates.MISSING, "owner_id", f"select id from {entity} where owner_id is null")
        for entity in ("contacts", "accounts", "leads", "deals")
    ),
    ("contacts", rates.MISSING, "birth_date", "select id from contacts where birth_date is null"),
    *(
        (entity, rates.MALFORMED, field, f"select id from {entity} where {field} <> '' "
         f"and {field} {operator} '{pattern}'")
        for entity, field, operator, pattern in (
            ("contacts", "mobile", "!~", rates.MOBILE_PATTERN),
            ("contacts", "email", "!~*", rates.EMAIL_PATTERN),
            ("leads", "mobile", "!~", rates.MOBILE_PATTERN),
            ("leads", "email", "!~*", rates.EMAIL_PATTERN),
            ("accounts", "postcode", "!~", rates.POSTCODE_PATTERN),
        )
    ),
    *(
        (entity, rates.ORPHANED, "account_id", f"select r.id from {entity} r left join accounts a "
         "on a.id = r.account_id where a.id is null")
        for entity in ("contacts", "deals", "activities", "cases")
    ),
    ("contacts", rates.STALE, "updated_at",
     "select id from contacts where updated_at < timestamptz '2026-06-01' - interval '500 days'"),
    ("deals", rates.STALE, "updated_at",
     "select id from deals where stage not in ('won', 'lost') "
     "and updated_at < timestamptz '2026-06-01' - interval '120 days'"),
    ("deals", rates.INCONSISTENT, "close_date",
     "select id from deals where close_date < created_at::date"),
    ("deals", rates.INCONSISTENT, "amount",
     "select id from deals where stage = 'won' and coalesce(amount, 0) = 0"),
    *(
        (entity, rates.INCONSISTENT, "updated_at",
         f"select id from {entity} where updated_at < created_at")
        for entity in ("contacts", "accounts", "deals")
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("entity", "kind", "field", "query"),
    FINDINGS,
    ids=[f"{entity}-{kind}-{field}" for entity, kind, field, _ in FINDINGS],
)
def test_an_auditor_finds_what_was_planted_and_nothing_else(
    usual: Seeded, entity: str, kind: str, field: str | None, query: str
) -> None:
    assert usual.ids(query) == usual.truth(entity, kind, field)


def test_every_row_of_the_table_of_rates_has_its_finding() -> None:
    found = {(entity, kind, field) for entity, kind, field, _ in FINDINGS}
    duplicates = {rates.EXACT, rates.FUZZY}
    elsewhere = {("accounts", rates.MALFORMED, "uscc")}
    for rate in rates.RATES:
        line = (rate.entity, rate.kind, rate.field)
        assert line in found | elsewhere or rate.kind in duplicates


def check_character(code: str) -> str:
    """GB 32100 written once more, as a sum over powers of three."""
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    total = sum(letters.index(char) * 3**power for power, char in enumerate(code[:17]))
    return letters[(31 - total % 31) % 31]


def test_only_planted_uscc_have_a_wrong_check_character(usual: Seeded) -> None:
    assert check_character("91440300708461136T") == "T"
    codes = usual.rows("select id, uscc from accounts where uscc <> ''")
    assert all(len(code) == 18 for _, code in codes)
    wrong = {number for number, code in codes if check_character(code) != code[-1]}
    assert wrong == usual.truth("accounts", rates.MALFORMED, "uscc")


@pytest.mark.parametrize("factor", [0.0, 1.0, 3.0])
def test_rates_hold_at_every_factor(
    usual: Seeded, spotless: Seeded, new_database: NewDatabase, factor: float
) -> None:
    seeded = {0.0: spotless, 1.0: usual}.get(factor) or fill(new_database(), defects=factor)
    if factor == 0.0:
        assert seeded.report.defects == {}
        assert seeded.rows("select count(*) from defects") == [(0,)]
        return
    # Second truth rows of fuzzy duplicates come on top of what is planned.
    of_fuzzy = (
        "and not exists (select from defects f where f.entity = d.entity "
        "and f.record_id = d.record_id and f.kind = 'fuzzy_duplicate' and d.kind <> f.kind)"
    )
    for entity in {rate.entity for rate in rates.RATES}:
        query = (
            "select kind, field, count(*) from defects d where entity = %s "
            f"{of_fuzzy} group by kind, field"
        )
        found = {(kind, field): count for kind, field, count in seeded.rows(query, entity)}
        planned = rates.planned(entity, seeded.report.counts[entity], factor)
        assert found == {line: count for line, count in planned.items() if count}


SHARED = (
    "select t.id from {0} t join (select {1} as k from {0} where {1} <> '' group by {1} "
    "having count(*) > 1) s on s.k = t.{1}"
)


@pytest.mark.parametrize(
    ("entity", "field"),
    [("contacts", "email"), ("contacts", "mobile"), ("leads", "email"), ("leads", "mobile"),
     ("accounts", "uscc")],
)  # fmt: skip
def test_only_planted_duplicates_share_a_unique_value(
    usual: Seeded, entity: str, field: str
) -> None:
    shared = usual.ids(SHARED.format(entity, field))
    pairs = usual.rows(
        "select record_id, of_record_id from defects where of_record_id is not null "
        "and entity = %s",
        entity,
    )
    assert shared
    assert shared <= {number for pair in pairs for number in pair}


def test_an_exact_duplicate_differs_only_in_id_and_times(usual: Seeded) -> None:
    own = "array['id', 'created_at', 'updated_at']"
    for entity in ("contacts", "accounts", "leads"):
        query = (
            f"select count(*), count(*) filter (where to_jsonb(a) - {own} = to_jsonb(b) - {own}) "
            f"from defects d join {entity} a on a.id = d.record_id "
            f"join {entity} b on b.id = d.of_record_id "
            f"where d.entity = '{entity}' and d.kind = 'exact_duplicate'"
        )
        every, equal = usual.rows(query)[0]
        assert every == equal > 0


def test_a_fuzzy_duplicate_is_written_otherwise(usual: Seeded) -> None:
    changed = {
        "contacts": "(a.name, a.mobile, a.email) is distinct from (b.name, b.mobile, b.email)",
        "accounts": "a.name is distinct from b.name",
        "leads": "(a.name, a.mobile, a.email) is distinct from (b.name, b.mobile, b.email)",
    }
    for entity, condition in changed.items():
        query = (
            f"select count(*), count(*) filter (where {condition}) from defects d "
            f"join {entity} a on a.id = d.record_id join {entity} b on b.id = d.of_record_id "
            f"where d.entity = '{entity}' and d.kind = 'fuzzy_duplicate'"
        )
        every, other = usual.rows(query)[0]
        assert every == other > 0


def test_hard_negatives_are_nobodys_duplicate_and_sound(usual: Seeded) -> None:
    kinds = {look.kind for look in rates.LOOKALIKES}
    assert set(usual.report.lookalikes) == kinds
    # Neither side of a pair has any defect or is the original of a duplicate.
    query = (
        "select count(*) from lookalikes l join defects d on d.entity = l.entity "
        "and (d.record_id in (l.record_id, l.of_record_id) "
        "or d.of_record_id in (l.record_id, l.of_record_id))"
    )
    assert usual.rows(query) == [(0,)]
    pair = "from lookalikes l join {0} a on a.id = l.record_id join {0} b on b.id = l.of_record_id"
    accounts = usual.rows(
        f"select bool_and(a.uscc <> b.uscc), bool_and(a.website = b.website) "
        f"{pair.format('accounts')} where l.entity = 'accounts'"
    )
    assert accounts == [(True, True)]
    people = (
        f"select bool_and(a.mobile <> b.mobile and a.email <> b.email), "
        f"bool_and(case l.kind when 'switchboard' then a.phone = b.phone and a.name <> b.name "
        f"when 'family' then a.address = b.address and a.name <> b.name "
        f"and a.birth_date > b.birth_date + 7000 "
        f"else a.name = b.name and a.account_id <> b.account_id end) "
        f"{pair.format('contacts')} where l.entity = 'contacts'"
    )
    assert usual.rows(people) == [(True, True)]


def test_without_defects_nothing_is_wrong(spotless: Seeded) -> None:
    for _, _, _, query in FINDINGS:
        assert spotless.ids(query) == set()
    for entity, field in (("contacts", "email"), ("contacts", "mobile"), ("accounts", "uscc")):
        assert spotless.ids(SHARED.format(entity, field)) == set()
    clash = (
        "select c.id from contacts c join leads l on lower(l.email) = lower(c.email) "
        "where l.converted_contact_id is distinct from c.id"
    )
    assert spotless.ids(clash) == set()


def test_every_reference_leads_somewhere_and_pick_lists_hold(usual: Seeded) -> None:
    from refcrm.model import ENTITIES

    for entity in ENTITIES.values():
        for field in entity.fields:
            if field.references and field.name not in ("id", "account_id"):
                query = (
                    f"select r.id from {entity.name} r left join {field.references} o "
                    f"on o.id = r.{field.name} where r.{field.name} is not null and o.id is null"
                )
                assert usual.ids(query) == set(), (entity.name, field.name)
            if field.values:
                listed = ", ".join(f"'{value}'" for value in field.values)
                query = f"select id from {entity.name} where {field.name} not in ({listed})"
                assert usual.ids(query) == set(), (entity.name, field.name)


def test_people_teams_and_ownership(usual: Seeded) -> None:
    people = usual.rows(
        "select username, role, team_id, region, password_hash from users order by id"
    )
    assert [person[:4] for person in people[:2]] == [
        ("admin", "admin", None, None),
        ("integration", "integration", None, None),
    ]
    names = [person[0] for person in people]
    assert names[2:5] == ["manager0001", "manager0002", "manager0003"]
    assert names[5] == "rep0001"
    assert len(people) == 60
    assert {region for (region,) in usual.rows("select region from teams")} <= set(REGIONS)
    assert {person[4] for person in people} == {people[0][4]}
    assert check_password("pw", people[0][4])
    assert not check_password("other", people[0][4])
    shares = [row[0] for row in usual.rows(
        "select count(*) from contacts where owner_id is not null group by owner_id order by 1 desc"
    )]  # fmt: skip
    assert shares[0] > 4 * shares[len(shares) // 2]
    odd = "select a.id from accounts a join users u on u.id = a.owner_id where u.region <> a.region"
    assert usual.ids(odd) == set()


def test_counters_go_on_behind_the_seeded_rows_and_indexes_are_back(
    usual: Seeded, new_database: NewDatabase
) -> None:
    with psycopg.connect(usual.url) as connection:
        made = connection.execute(
            "insert into cases (subject) values ('new') returning id, number"
        ).fetchone()
        connection.rollback()
    assert made == (1_201, "C-00001201")
    names = "select indexname from pg_indexes where schemaname = 'public' order by 1"
    plain = Seeded(new_database(), usual.report)
    with_side_table = {*plain.rows(names), ("lookalikes_pkey",)}
    assert set(usual.rows(names)) == with_side_table


def test_one_contact_has_one_of_everything(new_database: NewDatabase) -> None:
    seeded = fill(new_database(), contacts=1, users=4)
    counts = dict(seeded.report.counts)
    assert counts.pop("users") == 4
    assert set(counts.values()) == {1}
    assert seeded.report.defects == {}


def test_no_contacts_leave_people_only(new_database: NewDatabase) -> None:
    seeded = fill(new_database(), contacts=0)
    counts = dict(seeded.report.counts)
    assert (counts.pop("users"), counts.pop("teams")) == (30, 2)
    assert set(counts.values()) <= {0}
    assert seeded.rows("select count(*) from contacts") == [(0,)]


def test_progress_ends_with_all_rows(new_database: NewDatabase) -> None:
    told: list[tuple[str, int, int]] = []
    fill(new_database(), contacts=100, progress=lambda *what: told.append(what))
    stages = [what for what, _, _ in told]
    assert stages == ["rows", "indexes"]
    assert told[-1][1] == told[-1][2] > 100


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"contacts": -1}, "contacts must be between 0 and 90000000, not -1", "no more mobile"),
        ({"users": 3}, "users must be at least 4, not 3", "always an admin"),
        ({"defects": 5.5}, "defects must be between 0 and 5, not 5.5", "multiplies"),
        ({"defects": float("nan")}, "defects must be between 0 and 5, not nan", "multiplies"),
    ],
)
def test_impossible_numbers_are_refused(changes: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(RefcrmError) as caught:
        fill("postgresql://nowhere.invalid/crm", **changes)
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_a_database_with_rows_is_left_alone(spotless: Seeded) -> None:
    before = digest(spotless)
    with pytest.raises(RefcrmError, match="the database is not empty: table users has rows"):
        fill(spotless.url)
    assert digest(spotless) == before


def test_missing_tables_and_a_missing_server_are_named(spotless: Seeded, tmp_path: Path) -> None:
    other = spotless.url.replace("/seed", "/postgres?x=", 1).split("?x=")[0]
    socket = spotless.url.partition("?")[2]
    with pytest.raises(RefcrmError, match="the database has no table users"):
        fill(f"{other}?{socket}")
    with pytest.raises(RefcrmError) as caught:
        fill(f"postgresql://crm:secret@/crm?host={tmp_path}")
    assert caught.value.message == (
        "seeding failed: the database could not be reached (no connection)"
    )
    assert "secret" not in str(caught.value)


def test_a_seeding_that_fails_half_way_leaves_nothing(new_database: NewDatabase) -> None:
    url = new_database()

    def stop(what: str, done: int, total: int) -> None:
        if done > 5_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(url, contacts=6_000, progress=stop)
    seeded = fill(url, contacts=10)
    assert seeded.rows("select count(*) from contacts") == [(10,)]
