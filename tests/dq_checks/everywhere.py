"""The same rows in PostgreSQL, MariaDB, SQLite and as Parquet files for Spark."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from dq_checks.lake import Lake, LakeTable

Columns = Mapping[str, str]
Rows = list[tuple[Any, ...]]
NOW = datetime.now(UTC).replace(microsecond=0)

_HEAD = "id int, owner_id int, created_at time, updated_at time"
TABLES: dict[str, Columns] = {
    name: dict(pair.split() for pair in f"{_HEAD}, {columns}".split(", "))
    for name, columns in {
        "teams": "name text, region text",
        "users": "username text, name text, email text, role text, team_id int, region text",
        "accounts": "name text, uscc text, phone text, website text, region text, address text,"
        " postcode text",
        "contacts": "account_id int, name text, email text, mobile text, phone text,"
        " birth_date date",
        "leads": "name text, company text, email text, mobile text, status text,"
        " converted_contact_id int, converted_account_id int, converted_deal_id int",
        "deals": "name text, account_id int, contact_id int, stage text, amount number,"
        " currency text, close_date date",
        "activities": "kind text, subject text, account_id int, contact_id int, deal_id int,"
        " done_at time",
        "cases": "number text, subject text, account_id int, contact_id int, status text,"
        " priority text, closed_at time",
        "campaigns": "name text, status text, start_date date, end_date date, budget number",
        "products": "code text, name text, price number, active boolean",
        "quotes": "number text, deal_id int, status text, total number, valid_until date",
        "orders": "number text, account_id int, quote_id int, status text, total number,"
        " ordered_at time",
        "people": "name text, other text, code text, amount number, big int, day date, made time,"
        " seen time, ok boolean",
        "firms": "name text",
    }.items()
}
"""Every column that a shipped suite reads, and a table for all that rules can be."""

BLANK = (None, None, "", " ", "\t", "\u3000", "\u00a0 ", "\n")
ODD = (
    "a", "A", "a ", " a", "ä", "Ä", "a\u0308", "é", "e\u0301", "ß", "ẞ", "SS", "İ", "ı",
    "I", "i", "Σ", "σ", "ς", "张三", "張三", "张三 ", "Ａ", "ａ", "😀", "😀😀", "👩‍👩‍👧",
    "a\nb", "a\n", "\r\na",
    "%", "_", "\\", "'", '"', "`", "?", ":x", "%s", "nan", "NULL", "0", "00", "1e3", "ﬁ", "K", "k",
    "\u200b", "x" * 300, "𝒜", "ǅ",
)  # fmt: skip
FORMS = (
    "x@y.cn", "X@Y.cn", "x@y.cn\n", "x@y", "ä@y.cn", "x@y.cn ", "13800000001", "13800000001\n",
    "１３８00000001", "1380000000", "010-12345678", "400-800-1234", "100080", "１00080", "10008",
    "91440300708461136T", "91440300708461136X", "91440300708461136t", "11010519491231002X",
    "https://x.cn/a?b=1", "x.cn", "HTTP://X.cn", "CNY", "cny", "CNY ", "ＣＮＹ",
)  # fmt: skip
LISTED = (
    "new", "New", "working", "lost", "won", "converted", "open", "closed", "Closed", "closed ",
    "pending", "low", "normal", "high", "task", "call", "placed", "paid", "draft", "sent",
    "active", "done", "rep", "manager", "admin", "proposal", "won\n",
)  # fmt: skip
NUMBERS = tuple(
    None if each is None else Decimal(each)
    for each in (None, "0", "0.00", "-0.01", "0.01", "2.5", "2.50", "-1", "999999999999.99",
                 "-999999999999.99", "6", "6.01")
)  # fmt: skip
WHOLE = (None, 0, 1, 2, 3, -1, 2**31, 2**62, -(2**63), 2**63 - 1)
DAYS = (None, date(1000, 1, 1), date(1899, 12, 31), date(1900, 1, 1), date(2000, 2, 29),
        date(2026, 1, 1), date(9999, 12, 31))  # fmt: skip
TIMES = (
    None, datetime(1970, 1, 1, tzinfo=UTC), datetime(2000, 2, 29, 23, 59, 59, 999999, UTC),
    datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, UTC),
    NOW - timedelta(days=3), NOW - timedelta(days=170), NOW + timedelta(days=3),
    datetime(9999, 12, 31, tzinfo=UTC),
)  # fmt: skip


def rows(table: str, number: int, rng: random.Random) -> Rows:
    """Rows in which everything that engines disagree about happens, keys and all."""
    made: Rows = []
    for at in range(number):
        line = [_value(name, kind, at, number, rng) for name, kind in TABLES[table].items()]
        if made and rng.random() < 0.1:  # the same again, under another key
            line = [line[0], *rng.choice(made)[1:]]
        made.append(tuple(line))
    return made


def _value(name: str, kind: str, at: int, number: int, rng: random.Random) -> Any:
    if name == "id":
        return at if rng.random() < 0.98 else rng.randrange(number)
    if kind == "int":
        wide = name == "big"
        return rng.choice(WHOLE) if wide else rng.choice((None, rng.randrange(2 * number)))
    if kind == "text":
        return rng.choice(rng.choice((BLANK, ODD, FORMS, LISTED)))
    pools: dict[str, Sequence[Any]] = {
        "number": NUMBERS, "date": DAYS, "time": TIMES, "boolean": (None, True, False)
    }  # fmt: skip
    return rng.choice(pools[kind])


def into_postgres(url: str, tables: Mapping[str, Rows]) -> None:
    """Fill a database of PostgreSQL."""
    kinds = {
        "int": "bigint", "text": "text", "number": "numeric(14,2)", "date": "date",
        "time": "timestamptz", "boolean": "boolean",
    }  # fmt: skip
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for name, lines in tables.items():
            cursor.execute(_create(name, kinds))
            cursor.executemany(_insert(name, "%s"), lines)


def into_mariadb(connection: Any, tables: Mapping[str, Rows]) -> None:
    """Fill a database of MariaDB, whose texts compare as they do by default."""
    kinds = {
        "int": "bigint", "text": "varchar(400)", "number": "decimal(14,2)", "date": "date",
        "time": "datetime(6)", "boolean": "boolean",
    }  # fmt: skip
    with closing(connection), connection.cursor() as cursor:
        for name, lines in tables.items():
            cursor.execute(_create(name, kinds))
            cursor.executemany(_insert(name, "%s"), lines)


def into_sqlite(path: Path, tables: Mapping[str, Rows]) -> None:
    """Fill a file of SQLite."""
    kinds = {
        "int": "bigint", "text": "text", "number": "numeric", "date": "date",
        "time": "timestamp", "boolean": "boolean",
    }  # fmt: skip
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, lines in tables.items():
            connection.execute(_create(name, kinds))
            connection.executemany(_insert(name, "?"), [[*map(_light, each)] for each in lines])


def into_parquet(folder: Path, tables: Mapping[str, Rows]) -> None:
    """Write a file for each table, in two pieces, as a lake has them."""
    kinds: dict[str, Callable[[], Any]] = {
        "int": pa.int64, "text": pa.string, "number": lambda: pa.decimal128(14, 2),
        "date": pa.date32, "time": lambda: pa.timestamp("us", "UTC"), "boolean": pa.bool_,
    }  # fmt: skip
    for name, lines in tables.items():
        (folder / name).mkdir(parents=True)
        for half in (0, 1):
            part = lines[half::2]
            columns = [
                pa.array([each[at] for each in part], kinds[kind]())
                for at, kind in enumerate(TABLES[name].values())
            ]
            whole = pa.table(columns, names=[*TABLES[name]])
            pq.write_table(whole, folder / name / f"part-{half}.parquet")


def lake_of(folder: Path) -> str:
    """The address under which Spark reads such files."""
    tables = [
        LakeTable(
            name=each.name, path=str(each), columns={name: name for name in TABLES[each.name]}
        )
        for each in sorted(folder.iterdir())
        if each.is_dir()
    ]
    described = folder / "lake.json"
    lake = Lake(tables=tuple(tables), master="local[2]", memory="600m")
    described.write_text(lake.model_dump_json())
    return f"spark:///{described}"


def _create(name: str, kinds: Mapping[str, str]) -> str:
    columns = ", ".join(f"{column} {kinds[kind]}" for column, kind in TABLES[name].items())
    return f"create table {name} ({columns})"


def _insert(name: str, mark: str) -> str:
    return f"insert into {name} values ({', '.join([mark] * len(TABLES[name]))})"


def _light(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    return value.isoformat() if isinstance(value, date) else value
