"""A real, messy file, audited as accounts: the figures are those of a count by hand."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from dq_checks.catalogue import find_suites
from tests.dq_checks.support import Auditor, Database

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "chicago_sites_with_true_ids.csv"


@pytest.fixture
def sites() -> list[dict[str, str]]:
    """The rows of the file."""
    if not FILE.exists():
        pytest.skip(f"{FILE.name} is not beside the project")
    with FILE.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _blank(value: str) -> bool:
    return not value.strip()


def _count(sites: list[dict[str, str]], column: str, good: Callable[[str], object]) -> int:
    return sum(not good(each[column]) for each in sites if not _blank(each[column]))


def test_figures_equal_a_count_by_hand(
    auditor: Auditor, database: Database, sites: list[dict[str, str]]
) -> None:
    database.do(
        "create table accounts (id bigint, owner_id bigint, name text, uscc text, phone text,"
        " website text, region text, address text, postcode text,"
        " created_at timestamptz default now(), updated_at timestamptz default now())"
    )
    columns = ("Site name", "Address", "Zip", "Phone", "Website")
    with psycopg.connect(database.owner) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into accounts (id, owner_id, name, address, postcode, phone, website)"
            " values (%s, 1, %s, %s, %s, %s, %s)",
            [(at, *(each[name] for name in columns)) for at, each in enumerate(sites, 1)],
        )
    run = auditor.run(database.auditor, find_suites()["accounts"], worklist="all")
    rules = auditor.rules(run)
    bad = {name.removeprefix("accounts."): each["bad"] for name, each in rules.items()}
    assert not any(name.startswith("accounts.uscc") for name in rules), "no US company has one"
    assert bad["name.filled"] == sum(_blank(each["Site name"]) for each in sites)
    assert bad["postcode.filled"] == sum(_blank(each["Zip"]) for each in sites) == 1333
    assert bad["phone.filled"] == sum(_blank(each["Phone"]) for each in sites) == 146
    assert bad["postcode.format"] == _count(sites, "Zip", re.compile(r"\d{5}").fullmatch) == 1
    phone = re.compile(r"([2-9]\d{2})?[2-9]\d{6}")
    assert bad["phone.format"] == _count(sites, "Phone", phone.fullmatch)
    keys = Counter((each["Site name"].lower(), each["Address"].lower()) for each in sites)
    assert bad["name.unique"] == sum(
        keys[each["Site name"].lower(), each["Address"].lower()] > 1
        for each in sites
        if not _blank(each["Site name"]) and not _blank(each["Address"])
    )
    website = re.compile(r"(https?://)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(/\S*)?")
    assert bad["website.format"] == _count(sites, "Website", website.fullmatch)
    rows = run.measure("rows")
    assert rows is not None and rows.value == len(sites) == 3337
