"""How close an audit comes to the hand-written SQL that counts the same things.

17 rules on one table of contacts: our suite as ``crmops dq`` runs it (blank texts are missing, one
snapshot, counts for scores), the same counts by hand in two statements, and stock Great
Expectations (BASIC and COMPLETE; nulls only, for it knows no blanks).  The ways are interleaved,
so that a busy minute hits all; ratios are of the best rounds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dq_checks.messages import Audited, Job
from dq_checks.suite import Suite

ROOT = Path(__file__).resolve().parent.parent
RATIO, OVERHEAD, MEMORY = 1.3, 0.5, 400.0
SCHEMA = "bench_audit"
STOCK_ROUNDS = 2
MOBILE, EMAIL = "1[3-9][0-9]{9}", "[^@ ]+@[^@ ]+[.][^@ ]+"
USCC = "[0-9A-HJ-NPQRTUWXY]{18}"
STATUS = ["active", "lead", "customer", "inactive"]
SOURCE = ["web", "expo", "import", "referral", "wecom"]
FILLED = ("name", "mobile", "email", "address", "region", "owner_id")
FORMS = {"mobile": MOBILE, "email": EMAIL, "uscc": USCC}
KEYS = {"id": ["contact_id"], "mobile": ["mobile"], "person": ["name", "mobile"]}
BLANKS = "E' \\t\\r\\n\\u3000\\u00a0'"


def suite() -> Suite:
    """The 17 rules as a suite."""
    rules: list[dict[str, Any]] = [
        {"id": f"c.{each}.filled", "check": "filled", "column": each} for each in FILLED
    ]
    rules += [
        {"id": f"c.{each}.form", "check": "pattern", "column": each, "pattern": pattern}
        for each, pattern in FORMS.items()
    ]
    rules += [
        {"id": "c.status", "check": "one_of", "column": "status", "values": STATUS},
        {"id": "c.source", "check": "one_of", "column": "source", "values": SOURCE},
        {"id": "c.fresh", "check": "fresh", "column": "updated_at", "days": 365},
        {"id": "c.order", "check": "compare", "column": "updated_at", "op": ">=",
         "other": "created_at"},
        {"id": "c.account", "check": "reference", "column": "account_id", "table": "accounts",
         "key": "account_id"},
    ]  # fmt: skip
    rules += [{"id": f"c.{each}.one", "check": "unique", "columns": k} for each, k in KEYS.items()]
    common = {"dimension": "validity", "code": "0302", "title": "a rule", "threshold": 0.5}
    return Suite.model_validate(
        {
            "name": "bench", "entity": "contact", "table": "contacts", "table_schema": SCHEMA,
            "key": "contact_id", "rules": [{**common, **each} for each in rules],
        }
    )  # fmt: skip


def floor(connection: sa.Connection, as_of: dt.datetime) -> dict[str, int]:
    """The bad elements of each rule by hand: one scan; three GROUP BY and one anti-join."""
    table = f"{SCHEMA}.contacts"
    named: list[str] = []
    found = []
    for each in FILLED:
        value = each if each == "owner_id" else f"nullif(btrim({each}, {BLANKS}), '')"
        named.append(f"c.{each}.filled")
        found.append(f"count(*) - count({value})")
    for each, pattern in FORMS.items():
        named.append(f"c.{each}.form")
        filled = f"btrim({each}, {BLANKS}) <> ''"
        found.append(f"count(*) FILTER (WHERE {filled} AND NOT {each} ~ '^({pattern})$')")
    for each, values in (("status", STATUS), ("source", SOURCE)):
        allowed = ", ".join(f"'{value}'" for value in values)
        named.append(f"c.{each}")
        found.append(
            f"count(*) FILTER (WHERE btrim({each}, {BLANKS}) <> '' AND {each} NOT IN ({allowed}))"
        )
    since = (as_of - dt.timedelta(days=365)).isoformat(timespec="seconds")
    named += ["c.fresh", "c.order"]
    found.append(f"count(*) FILTER (WHERE updated_at < '{since}')")
    found.append("count(*) FILTER (WHERE updated_at < created_at)")
    scan = connection.exec_driver_sql(f"SELECT {', '.join(found)} FROM {table}").one()
    return dict(zip(named, scan, strict=True)) | _floor_of_keys(connection, table)


def _floor_of_keys(connection: sa.Connection, table: str) -> dict[str, int]:
    parts = []
    for keys in KEYS.values():
        filled = [f"btrim({k}, {BLANKS}) <> ''" for k in keys if k != "contact_id"]
        where = " AND ".join(filled) or "true"
        parts.append(
            f"(SELECT coalesce(sum(n), 0) FROM (SELECT count(*) n FROM {table} WHERE {where}"
            f" GROUP BY {', '.join(keys)} HAVING count(*) > 1) x)"
        )
    parts.append(
        f"(SELECT count(*) FROM {table} c LEFT JOIN {SCHEMA}.accounts a USING (account_id)"
        " WHERE a.account_id IS NULL AND c.account_id IS NOT NULL)"
    )
    row = connection.exec_driver_sql(f"SELECT {', '.join(parts)}").one()
    return dict(zip([*(f"c.{each}.one" for each in KEYS), "c.account"], map(int, row), strict=True))


def stock(url: str, level: Any, as_of: dt.datetime) -> Callable[[], Any]:
    """The 17 rules with the expectations that come with Great Expectations."""
    import great_expectations as gx

    gxe: Any = importlib.import_module("great_expectations.expectations")

    context = gx.get_context(mode="ephemeral")
    quiet: Any = {"globally": False, "metric_calculations": False}
    context.variables.progress_bars = quiet
    orphans = (
        f"SELECT c.contact_id FROM {{batch}} c LEFT JOIN {SCHEMA}.accounts a"
        " ON a.account_id = c.account_id WHERE a.account_id IS NULL"
    )
    rules: list[Any] = [gxe.ExpectColumnValuesToNotBeNull(column=each) for each in FILLED]
    rules += [
        gxe.ExpectColumnValuesToMatchRegex(column=each, regex=f"^({pattern})$")
        for each, pattern in FORMS.items()
    ]
    rules += [
        gxe.ExpectColumnValuesToBeInSet(column="status", value_set=STATUS),
        gxe.ExpectColumnValuesToBeInSet(column="source", value_set=SOURCE),
        gxe.ExpectColumnValuesToBeUnique(column="contact_id"),
        gxe.ExpectColumnValuesToBeUnique(column="mobile"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["name", "mobile"]),
        gxe.ExpectColumnMaxToBeBetween(
            column="updated_at", min_value=(as_of - dt.timedelta(days=365)).replace(tzinfo=None)
        ),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="updated_at", column_B="created_at", or_equal=True
        ),
        gxe.UnexpectedRowsExpectation(unexpected_rows_query=orphans),
    ]
    warnings.simplefilter("ignore")
    # it insists on a host in the address; the socket in the query outweighs it
    address = _driver(url).replace("@/", "@localhost/", 1)
    source = context.data_sources.add_postgres(
        "crm", connection_string=address, create_temp_table=False
    )
    asset = source.add_table_asset("contacts", table_name="contacts", schema_name=SCHEMA)
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(
            name="contacts",
            data=asset.add_batch_definition_whole_table("whole"),
            suite=context.suites.add(gx.ExpectationSuite("contacts", expectations=rules)),
        )
    )
    return lambda: definition.run(result_format=level)


def ours(url: str, as_of: dt.datetime) -> Callable[[], Audited]:
    """The suite as the worker runs it, without the list of failing keys."""
    from dq_checks.worker.audit import audit

    job = Job(
        id=1, url=url, suite=suite(), country="CN", as_of=as_of, statement_timeout=600,
        worklist="none", worklist_rows=1, groups=False,
    )  # fmt: skip
    return lambda: audit(job, lambda _: None, {})


def build(engine: sa.Engine, rows: int) -> None:
    """Contacts with known rates of bad values; every value is a hash of the row's number."""

    def pick(salt: int, size: int, key: str = "k") -> str:
        return f"(hashint8extended({key}, {salt}) & 2147483647) % {size}"

    def below(rate: float, salt: int) -> str:
        return f"{pick(salt, 10_000, 'i')} < {int(rate * 10_000)}"

    def one_of(values: list[str], salt: int) -> str:
        array = ", ".join(f"'{value}'" for value in values)
        return f"(ARRAY[{array}])[1 + ({pick(salt, len(values), 'i')})]"

    letters = list("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林郑罗梁谢宋唐许韩冯邓曹伟芳娜敏静丽强磊")
    name = " || ".join(
        f"(ARRAY[{', '.join(repr(x) for x in letters)}])[1 + ({pick(salt, len(letters))})]"
        for salt in (1, 2, 3)
    )
    accounts = max(rows // 10, 1)
    statements = [
        f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
        f"CREATE SCHEMA {SCHEMA}",
        f"CREATE TABLE {SCHEMA}.accounts AS SELECT i AS account_id FROM"
        f" generate_series(1::bigint, {accounts}) i",
        f"ALTER TABLE {SCHEMA}.accounts ADD PRIMARY KEY (account_id)",
        f"""CREATE TABLE {SCHEMA}.contacts AS SELECT i AS contact_id,
            CASE WHEN {below(0.004, 20)} THEN {accounts + 99}
                ELSE 1 + {pick(4, accounts, "i")} END AS account_id,
            CASE WHEN {below(0.005, 21)} THEN NULL ELSE {name} END AS name,
            CASE WHEN {below(0.08, 22)} THEN NULL
                WHEN {below(0.02, 23)} THEN '+86 138' || lpad(({pick(5, 10**8)})::text, 8, '0')
                ELSE '138' || lpad(({pick(5, 10**8)})::text, 8, '0') END AS mobile,
            CASE WHEN {below(0.15, 24)} THEN NULL WHEN {below(0.015, 25)} THEN 'bad-email'
                ELSE 'u' || {pick(6, rows * 5)} || '@corp' || {pick(7, 5000)} || '.com.cn' END
                AS email,
            CASE WHEN {below(0.05, 26)} THEN NULL WHEN {below(0.01, 27)} THEN 'X1'
                ELSE '91440300' || lpad(({pick(8, 10**9, "i")})::text, 9, '0') || 'A' END AS uscc,
            CASE WHEN {below(0.003, 28)} THEN '??' ELSE {one_of(STATUS, 9)} END AS status,
            {one_of(SOURCE, 10)} AS source, 1 + {pick(11, 2000, "i")} AS owner_id,
            CASE WHEN {below(0.02, 29)} THEN NULL
                ELSE {one_of(["华东", "华南", "华北", "西南", "华中"], 12)} END AS region,
            CASE WHEN {below(0.2, 30)} THEN NULL ELSE '某某路' || {pick(13, 9999, "i")} END
                AS address,
            {one_of(["经理", "总监", "采购", "工程师"], 14)} AS title,
            timestamptz '2024-01-01' + make_interval(secs => {pick(15, 63_072_000, "i")})
                AS created_at,
            timestamptz '2024-01-01' + make_interval(secs => {pick(15, 63_072_000, "i")}
                + {pick(16, 25_920_000, "i")}) AS updated_at
            FROM (SELECT i, CASE WHEN i % 50 = 0 THEN i - 7 ELSE i END AS k
                FROM generate_series(1::bigint, {rows}) i) numbered""",
    ]
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"VACUUM ANALYZE {SCHEMA}.contacts")


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def compare(url: str, rows: int, rounds: int, level: str) -> bool:
    """Build, run all ways in turns, print, and say whether the targets are met."""
    engine = sa.create_engine(_driver(url))
    build(engine, rows)
    as_of = dt.datetime.now(dt.UTC)
    audit = ours(url, as_of)
    answer = audit()  # the first audit of a process builds caches that live as long as it does
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    names = ("BASIC", "COMPLETE") if level == "all" else ()
    others = {f"stock {name}": stock(url, name, as_of) for name in names}
    with engine.connect() as connection:
        expected = floor(connection, as_of)
    ways = {"floor": lambda: _floor_once(engine, as_of), "ours": audit}
    best: dict[str, tuple[float, float]] = {}
    for number in range(rounds):
        turn = {**ways, **others} if number < STOCK_ROUNDS else ways
        for name, way in turn.items():
            best[name] = min(best.get(name, (1e9, 1e9)), _timed(way))
    engine.dispose()
    equal = {each.rule: each.checked - each.good for each in answer.counts} == expected
    return report(rows, best, memory, equal=equal)


def _floor_once(engine: sa.Engine, as_of: dt.datetime) -> None:
    with engine.connect() as connection:
        floor(connection, as_of)


def _timed(way: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock and of our own CPU."""
    began, spent = time.perf_counter(), time.process_time()
    way()
    return time.perf_counter() - began, time.process_time() - spent


def report(rows: int, best: dict[str, tuple[float, float]], memory: float, *, equal: bool) -> bool:
    """Print the table and the line of JSON."""
    base = best["floor"][0]
    for name, (took, spent) in best.items():
        print(f"{name:16}{took:8.2f} s{took / base:6.2f} x{spent:7.2f} s CPU of ours")
    print(f"counts equal: {equal}; memory {memory:.0f} MB")
    numbers = {name: round(took / base, 3) for name, (took, _) in best.items()}
    numbers |= {"overhead_seconds": round(best["ours"][1], 3), "megabytes": round(memory)}
    targets = {"ours": RATIO, "overhead_seconds": OVERHEAD, "megabytes": MEMORY}
    met = equal and all(numbers[name] <= limit for name, limit in targets.items())
    result = {"bench": "audit", "rows": rows, "ratios": numbers, "targets": targets, "met": met}
    print(json.dumps(result))
    return met


def main() -> int:
    """Start a PostgreSQL of our own, or use one, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", choices=("all", "ours"), default="all")
    parser.add_argument("--database", help="postgresql://...; its schema bench_audit is replaced")
    options = parser.parse_args()
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    if options.database:
        return 0 if compare(options.database, options.rows, options.rounds, options.ways) else 1
    with tempfile.TemporaryDirectory(prefix="bench-audit-", dir="/tmp") as place:
        directory = Path(place)
        directory.chmod(0o755)
        command = [sys.executable, "-m", "refcrm", "cluster"]
        where = ["--dir", str(directory / "pg")]
        started = subprocess.run(
            [*command, "start", *where], check=True, capture_output=True, text=True, cwd=ROOT
        )
        try:
            url = json.loads(started.stdout)["admin_database_url"]
            return 0 if compare(url, options.rows, options.rounds, options.ways) else 1
        finally:
            subprocess.run([*command, "stop", *where], check=True, capture_output=True, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
