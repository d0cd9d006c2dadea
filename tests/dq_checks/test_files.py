"""Files audited before they are loaded: what they may be, and what is said of bad ones."""

from __future__ import annotations

import os
import random
from pathlib import Path

import duckdb
import psycopg
import pytest
import xlsxwriter

from crmops.cli import run as crmops
from crmops.errors import UsageError
from crmops.record import Verdict
from dq_checks.catalogue import find_suites
from dq_checks.files import LONGEST_CELL, reading
from dq_checks.run import Audit, run_suites
from dq_checks.scratch import scratch
from dq_checks.settings import Settings
from tests.dq_checks.support import Auditor, Database, rule, suite

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "dq"
FILES = sorted(each.name for each in BAD.glob("file_*") if each.suffix != ".txt")


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_named_with_its_row(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(each)
    monkeypatch.setenv("CRMOPS_STATE", str(tmp_path))
    monkeypatch.chdir(BAD)
    config = ["--quiet", "--config", "config_no_replica.yaml"]
    assert crmops([*config, "dq", "file", name, "--suite", "accounts"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", (BAD / name).with_suffix(".txt").read_text())


def test_columns_that_are_not_there_or_go_to_one_field(tmp_path: Path) -> None:
    path = tmp_path / "sites.csv"
    path.write_text("Site name,Phone\na,5550100\n")
    accounts = find_suites()["accounts"]
    for pairs, message in (
        (["Site 2=name"], "sites.csv has no column 'Site 2'"),
        (["Site name"], "--map Site name is no pair"),
        (["Site name=name", "Phone=name"], "two columns of sites.csv are mapped to 'name'"),
        ([], "sites.csv has no column that suite 'accounts' knows"),
    ):
        with pytest.raises(UsageError, match=message), scratch(path, accounts, pairs):
            pass


def test_a_missing_file_and_a_huge_cell(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"), reading(tmp_path / "none.csv"):
        pass
    path = tmp_path / "huge.csv"
    path.write_text("name\n" + "x" * (LONGEST_CELL + 1) + "\n")
    with (
        pytest.raises(UsageError, match="field larger than field limit"),
        reading(path) as records,
    ):
        list(records.rows)


ROWS = [("张伟", "13800000001", "2026-01-02", "5"), (" ", "+86 138", "", "")]


def _write(path: Path, encoding: str) -> None:
    lines = ["name,mobile,at,amount", *(",".join(row) for row in ROWS)]
    path.write_bytes("\r\n".join(lines).encode(encoding))


def _workbook(path: Path) -> None:
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for at, row in enumerate([("name", "mobile", "at", "amount"), *ROWS]):
            sheet.write_row(at, 0, row)


@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "gb18030", "xlsx"])
def test_every_form_of_file_gives_the_same_figures(
    auditor: Auditor, tmp_path: Path, form: str
) -> None:
    path = tmp_path / ("people.xlsx" if form == "xlsx" else "people.csv")
    _workbook(path) if form == "xlsx" else _write(path, form)
    people = suite(
        rule("p.name", "filled", column="name"),
        rule("p.mobile", "format", column="mobile", format="mobile"),
        rule("p.at", "fresh", column="at", days=36500),
        rule("p.amount", "range", column="amount", minimum=1, maximum=9),
        rule("p.firm", "reference", column="firm", table="firms"),
    )
    with scratch(path, people, []) as made:
        audit = Audit("file", made.url, Settings(country="CN", worklist="all"), auditor.history)
        (run,) = run_suites(audit, [made.suite], auditor.worker)
    rules = auditor.rules(run)
    assert made.left_out == ("p.firm",)
    assert {name: (each["A"], each["B"]) for name, each in rules.items()} == {
        "p.name": (1, 2), "p.mobile": (1, 2), "p.at": (1, 1), "p.amount": (1, 1),
    }  # fmt: skip
    assert auditor.listed(run) == {"p.name": {"2"}, "p.mobile": {"2"}}
    assert run.verdict is Verdict.FAIL
    assert not Path(made.url.removeprefix("sqlite:///")).exists(), "the scratch goes away"


VALUES = (
    None, "", " ", "\u3000", "a", "A", "a ", "ä", "张三", "張三", "13800000001", "13800000001\n",
    "１３８00000001", "x@y.cn", "X@Y.cn", "%", "'", '"', "_", "91440300708461136T", "\u00a0", "ß",
)  # fmt: skip
CHECKS = (
    rule("p.filled", "filled", column="name"),
    rule("p.mobile", "format", column="name", format="mobile"),
    rule("p.mail", "format", column="name", format="email"),
    rule("p.code", "check_digit", column="name", code_of="uscc"),
    rule("p.set", "one_of", column="name", values=["a", "张三", "ä"]),
    rule("p.length", "length", column="name", maximum=2),
    rule("p.one", "unique", columns=["name"]),
    rule("p.fold", "unique", columns=["name"], ignore_case=True),
    rule("p.two", "unique", columns=["name", "other"]),
    rule("p.pattern", "pattern", column="name", pattern="[a-zA-Z ]*[a-z]"),
    rule("p.range", "range", column="amount", minimum=-1, maximum=2.5),
    rule("p.order", "compare", column="day", op=">=", other="made"),
    rule("p.same", "compare", column="name", op="==", other="other"),
    rule("p.fresh", "fresh", column="made", days=400),
    rule("p.when", "filled", column="other", when=[{"column": "name", "none_of": ["a"]}]),
    rule("p.blank", "filled", column="other", when=[{"column": "name", "is": "blank"}]),
    rule("p.link", "reference", column="amount", table="firms"),
)


def test_postgresql_and_sqlite_count_alike(
    auditor: Auditor, database: Database, tmp_path: Path
) -> None:
    import sqlite3

    rng = random.Random(7)
    rows = [
        (
            at, rng.choice(VALUES), rng.choice(VALUES), rng.choice((None, -2, 0, 1, 2.5, 3)),
            rng.choice((None, "2024-05-01", "2026-01-01")),
            rng.choice((None, "2024-05-01 08:00:00.000000", "2026-06-01 00:00:00.000000")),
        )
        for at in range(400)
    ]  # fmt: skip
    shape = "(id bigint, name text, other text, amount numeric, day date, made timestamp)"
    firms = ("create table firms (id numeric)", "insert into firms values (0), (1)")
    database.do(f"create table people {shape}", *firms)
    with psycopg.connect(database.owner) as connection, connection.cursor() as cursor:
        cursor.executemany("insert into people values (%s, %s, %s, %s, %s, %s)", rows)
    path = tmp_path / "people.db"
    light = sqlite3.connect(path)
    with light:
        for each in (f"create table people {shape}", *firms):
            light.execute(each)
        light.executemany("insert into people values (?, ?, ?, ?, ?, ?)", rows)
    light.close()
    both = [
        auditor.run(url, suite(*CHECKS), country="CN", worklist="all")
        for url in (database.auditor, f"sqlite:///{path}")
    ]
    one, two = (auditor.rules(run) for run in both)
    assert all(each["status"] in ("good", "failed") for each in one.values())
    assert {n: (r["A"], r["B"]) for n, r in one.items()} == {
        n: (r["A"], r["B"]) for n, r in two.items()
    }
    assert auditor.listed(both[0]) == auditor.listed(both[1])


def test_parquet_is_read_as_csv_would_be(auditor: Auditor, tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    with duckdb.connect() as db:
        db.execute(
            "copy (select i as id, case when i > 1 then '李娜' end as name, i > 1 as active,"
            " (i + 0.50)::decimal(9, 2) as amount, date '2026-01-31' as born,"
            " timestamptz '2026-01-31 10:00:00+08' as seen from range(3) t(i))"
            f" to '{path}' (format parquet)"
        )
    with reading(path) as records:
        rows = list(records.rows)
    assert records.columns == ("id", "name", "active", "amount", "born", "seen")
    assert rows[0] == ("0", "", "false", "0.50", "2026-01-31", "2026-01-31 02:00:00+00")
    assert rows[2][1:3] == ("李娜", "true")
    people = suite(
        rule("p.name", "filled", column="name", threshold=0.1),
        rule("p.amount", "range", column="amount", minimum=1, threshold=0.1),
        rule("p.seen", "compare", column="seen", op=">=", other="born", threshold=0.1),
    )
    with scratch(path, people, ()) as made:
        run = auditor.run(made.url, made.suite, worklist="all")
    counts = {name: (each["A"], each["B"]) for name, each in auditor.rules(run).items()}
    assert counts == {"p.name": (1, 3), "p.amount": (2, 3), "p.seen": (3, 3)}
    assert auditor.listed(run)["p.name"] == {"0", "1"}
