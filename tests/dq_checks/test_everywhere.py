"""One suite over the same rows counts the same everywhere: PostgreSQL, MariaDB, SQLite, Spark."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from typing import Any

import pytest

from dq_checks.catalogue import find_suites
from dq_checks.client import AuditWorker
from dq_checks.references import Reference
from dq_checks.suite import NEEDS, Suite
from tests.dq_checks.everywhere import (
    DAYS,
    FORMS,
    NUMBERS,
    ODD,
    TABLES,
    into_mariadb,
    into_parquet,
    into_postgres,
    into_sqlite,
    lake_of,
    rows,
)
from tests.dq_checks.mariadb import MariaServer
from tests.dq_checks.support import Auditor, Database, rule, suite

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("engines")]

Places = dict[str, str]
Found = dict[str, dict[str, dict[str, Any]]]
ROWS = 300
SHIPPED = find_suites(())
TORTURE = (
    rule("p.name.filled", "filled", column="name"),
    rule("p.big.filled", "filled", column="big"),
    rule("p.mobile", "format", column="name", format="mobile"),
    rule("p.phone", "format", column="name", format="phone"),
    rule("p.email", "format", column="name", format="email"),
    rule("p.url", "format", column="name", format="url"),
    rule("p.postcode", "format", column="name", format="postcode"),
    rule("p.currency", "format", column="name", format="currency"),
    rule("p.number.as.text", "format", column="big", format="postcode"),
    rule("p.pattern", "pattern", column="name", pattern="[a-zA-Z ]*[a-z]"),
    rule("p.dots", "pattern", column="name", pattern="a.b|..|[^a-z]{3}"),
    rule("p.uscc", "check_digit", column="code", code_of="uscc"),
    rule("p.resident", "check_digit", column="code", code_of="resident_id"),
    rule("p.length", "length", column="name", maximum=2),
    rule("p.listed", "one_of", column="name", values=["a", "张三", "ä", "won", "😀", "%", "\\"]),
    rule("p.true", "one_of", column="ok", values=[True]),
    rule("p.numbers", "one_of", column="big", values=[0, 2**62]),
    rule("p.days", "one_of", column="day", values=["2000-02-29", "9999-12-31"]),
    rule("p.range", "range", column="amount", minimum=-1, maximum=2.5),
    rule("p.big.range", "range", column="big", minimum=-1, maximum=2**62),
    rule("p.day.range", "range", column="day", minimum="1900-01-01", maximum="2026-01-01"),
    rule("p.made.range", "range", column="made", minimum="2000-03-01T07:59:59.999999+08:00"),
    rule("p.text.range", "range", column="name", minimum="B", maximum="张三"),
    rule("p.order", "compare", column="day", op=">=", other="made"),
    rule("p.times", "compare", column="made", op="<", other="seen"),
    rule("p.same", "compare", column="name", op="==", other="other"),
    rule("p.other", "compare", column="name", op="!=", other="other"),
    rule("p.less", "compare", column="name", op="<", other="other"),
    rule("p.amounts", "compare", column="big", op=">=", other="amount"),
    rule("p.fresh", "fresh", column="made", days=100),
    rule("p.day.fresh", "fresh", column="day", days=100),
    rule("p.one", "unique", columns=["name"]),
    rule("p.fold", "unique", columns=["name"], ignore_case=True),
    rule("p.two", "unique", columns=["name", "other"]),
    rule("p.three", "unique", columns=["amount", "day", "ok"]),
    rule("p.moment", "unique", columns=["made", "big"]),
    rule("p.link", "reference", column="owner_id", table="firms"),
    rule("p.text.link", "reference", column="name", table="firms", key="name"),
    rule("p.sql", "sql", applies="name <> 'closed'", good="amount >= 0 or name = 'a'"),
    rule("p.when", "filled", column="other", when=[{"column": "name", "none_of": ["a", "won"]}]),
    rule("p.blank", "filled", column="other", when=[{"column": "name", "is": "blank"}]),
    rule("p.ok", "filled", column="day", when=[{"column": "ok", "one_of": [False]}]),
    rule("p.some", "filled", column="name", sample=0.3),
    rule("p.known", "listed", column="name", reference="erp", field="value"),
    rule("p.folded", "listed", column="name", reference="erp", field="value", ignore_case=True),
    rule("p.number.known", "listed", column="amount", reference="erp", field="amount"),
    rule(
        "p.agreed",
        "same",
        column="other",
        reference="erp",
        field="value",
        by="name",
        field_by="key",
    ),
    rule("p.paid", "same", column="amount", reference="erp", by="owner_id", field_by="id"),
    rule(
        "p.born", "same", column="day", reference="erp", field="day", by="owner_id", field_by="id"
    ),
)

NAMED = {"p.email", "p.fold", "p.text.link", "p.sql", "p.some", "p.times", "p.agreed"}
"""Rules of each kind of query for records."""


@pytest.fixture(scope="module")
def worker(spark_worker: AuditWorker) -> AuditWorker:
    """The worker with Spark, also for the other engines."""
    return spark_worker


@pytest.fixture(scope="module")
def places(
    maria: MariaServer,
    new_database: Callable[[], Database],
    tmp_path_factory: pytest.TempPathFactory,
) -> Places:
    """The addresses of the same tables in all engines."""
    rng = random.Random(20261121)
    tables = {name: rows(name, ROWS if name == "people" else 120, rng) for name in TABLES}
    folder = tmp_path_factory.mktemp("everywhere")
    postgres = new_database()
    into_postgres(postgres.owner, tables)
    maria.do(
        "create database crm character set utf8mb4 collate utf8mb4_general_ci",
        "create user auditor identified by 'a-password'",
        "grant select on crm.* to auditor",
    )  # fmt: skip
    into_mariadb(maria.connect("crm"), tables)
    into_sqlite(folder / "crm.db", tables)
    into_parquet(folder / "lake", tables)
    return {
        "postgresql": postgres.auditor,
        "mariadb": maria.url("crm", "auditor", "a-password", "mariadb"),
        "sqlite": f"sqlite:///{folder / 'crm.db'}",
        "spark": lake_of(folder / "lake"),
    }


@pytest.fixture(scope="module")
def erp(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reference]:
    """Another system, which knows some of the values."""
    rng = random.Random(4)
    path = tmp_path_factory.mktemp("erp") / "erp.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "key", "value", "amount", "day"])
        for at in range(ROWS):
            texts = [rng.choice((*ODD, *FORMS, "")) for _ in range(2)]
            writer.writerow([at, *texts, rng.choice(NUMBERS), rng.choice(DAYS)])
    return {"erp": Reference(file=path)}


def test_every_kind_of_rule_counts_alike(
    auditor: Auditor, places: Places, erp: dict[str, Reference]
) -> None:
    kinds = suite(*TORTURE)
    assert {each.check for each in kinds.rules} == {*NEEDS}
    alike(counted(auditor, kinds, places, references=erp))


def test_the_same_records_and_owners_are_named(
    auditor: Auditor, places: Places, erp: dict[str, Reference]
) -> None:
    few = [each for each in TORTURE if each["id"] in NAMED]
    kinds = suite(*few, owner_column="owner_id")
    runs = {
        name: auditor.run(url, kinds, country="CN", worklist="all", references=erp)
        for name, url in places.items()
    }
    for name, run in runs.items():
        assert auditor.listed(run) == auditor.listed(runs["postgresql"]), name
        assert auditor.file(run, "groups.csv") == auditor.file(runs["postgresql"], "groups.csv")


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_suites_count_alike(name: str, auditor: Auditor, places: Places) -> None:
    shipped = SHIPPED[name].model_copy(update={"owners": None})
    alike(counted(auditor, shipped, places))


def counted(auditor: Auditor, audited: Suite, places: Places, **more: Any) -> Found:
    """What each place counts."""
    settings: dict[str, Any] = {"country": "CN", "worklist": "none", "groups": False, **more}
    return {
        name: auditor.rules(auditor.run(url, audited, **settings)) for name, url in places.items()
    }


def alike(found: Found) -> None:
    """Each place has the same A and B for each rule, and none could not be run."""
    wanted = {rule: (each["A"], each["B"]) for rule, each in found["postgresql"].items()}
    for place, rules in found.items():
        broken = {rule: each for rule, each in rules.items() if each["status"] == "error"}
        assert not broken, place
        counts = {rule: (each["A"], each["B"]) for rule, each in rules.items()}
        assert counts == wanted, place
