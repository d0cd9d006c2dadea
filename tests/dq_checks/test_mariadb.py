"""Audits of MariaDB: what a server does, and what it refuses."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

from crmops.record import Verdict
from dq_checks.worker.problems import JobProblem
from dq_checks.worker.session import reading
from tests.dq_checks.mariadb import MariaServer
from tests.dq_checks.support import Auditor, rule, suite

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("engines")]

BASIC = suite(
    rule("p.name", "filled", column="name"),
    rule("p.one", "unique", columns=["name"]),
    rule("p.mail", "format", column="mail", format="email", threshold=0.1),
)
PASSWORD = "planted-pw ä%:/@"
DATABASES = ("bad", "old")


@pytest.fixture(scope="module")
def place(maria: MariaServer) -> Iterator[MariaServer]:
    """Tables of several kinds, and an account that may read some of them."""
    for each in DATABASES:
        maria.do(f"create database {each}")
    with closing(maria.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("create user reader identified by %s", [PASSWORD])
    maria.do(
        "create table people (id bigint primary key, name varchar(40), mail varchar(40))"
        " character set utf8mb4",
        "insert into people values (1, 'a', 'x@y.cn'), (2, 'A', null), (3, 'a ', 'x@y'),"
        " (4, null, '')",
        "create table secret as select * from people",
        "create table noone (id bigint, name varchar(9), mail varchar(9))",
        "create view seen as select * from people",
        "grant select on old.* to reader",
        "grant select on bad.people to reader",
        "grant select on bad.noone to reader",
        "grant select on bad.seen to reader",
        database="bad",
    )
    yield maria
    maria.do(*(f"drop database {each}" for each in DATABASES), "drop user reader")


def url(place: MariaServer, name: str = "bad", password: str = PASSWORD) -> str:
    address = place.url(name, "reader", "PW", "mariadb")
    return address.replace("PW", quote(password, safe=""))


def test_texts_compare_by_code_point_in_tables_that_do_not(
    auditor: Auditor, place: MariaServer
) -> None:
    run = auditor.run(url(place), BASIC, worklist="all")
    found = {name: (each["A"], each["B"]) for name, each in auditor.rules(run).items()}
    assert found == {"p.name": (3, 4), "p.one": (3, 3), "p.mail": (1, 2)}
    assert run.tool_versions["mysql"].startswith("10.")
    whole = "".join(auditor.file(run, name) for name in ("result.json", "worklist.csv"))
    assert "planted" not in whole + run.model_dump_json()


def test_other_character_sets_and_types(auditor: Auditor, place: MariaServer) -> None:
    place.do(
        "create table people (id int primary key, name varchar(9) character set gbk,"
        " mail char(9) character set latin1, ok bool, level enum('low', 'HIGH'), made timestamp"
        " default current_timestamp, price double)",
        "insert into people values (1, '张三', 'ä@x.cn', true, 'low', '2026-01-01', 0.1),"
        " (2, '張三', 'a@x.cn', false, 'HIGH', '2026-01-01', 0.2), (3, '张三', 'ä', null, null,"
        " '2026-01-01', 0.1)",
        database="old",
    )
    kinds = suite(
        rule("p.one", "unique", columns=["name"]),
        rule("p.list", "one_of", column="name", values=["张三"]),
        rule("p.length", "length", column="mail", maximum=1),
        rule("p.true", "one_of", column="ok", values=[True]),
        rule("p.level", "one_of", column="level", values=["low", "high"]),
        rule("p.made", "range", column="made", maximum="2026-01-01T08:00:00+08:00"),
        rule("p.price", "range", column="price", maximum=0.1),
    )
    run = auditor.run(url(place, "old"), kinds)
    found = {name: (each["A"], each["B"]) for name, each in auditor.rules(run).items()}
    assert found == {
        "p.one": (1, 3), "p.list": (2, 3), "p.length": (1, 3), "p.true": (1, 2),
        "p.level": (1, 2), "p.made": (3, 3), "p.price": (2, 3),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "table", "reason", "hint"),
    [
        ("bad", "secret", "table secret cannot be read: the audit's database role may not read it",
         "Grant SELECT on the table to the role of database.url."),
        ("bad", "seen", "table seen cannot be read: the audit's database role may not read it",
         "Grant SELECT on the table to the role of database.url."),
        ("old", "gone", "table gone is missing",
         "Is it another database, or was the table renamed?  A suite names its table."),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read(
    auditor: Auditor, place: MariaServer, name: str, table: str, reason: str, hint: str
) -> None:
    closed = BASIC.model_copy(update={"table": table})
    first, second = auditor.runs(url(place, name), closed, BASIC)
    assert (first.verdict, first.reason, first.findings[0].detail) == (
        Verdict.ERROR, reason, hint,
    )  # fmt: skip
    if name == "bad":
        assert second.verdict is Verdict.FAIL, "the next table is audited all the same"


def test_a_reference_between_different_types_is_an_error(
    auditor: Auditor, place: MariaServer
) -> None:
    odd = suite(
        rule("p.odd", "reference", column="name", table="people"),  # 'a' = 0 is true there
        rule("p.even", "reference", column="id", table="people"),
        rule("p.none", "reference", column="id", table="gone"),
    )
    run = auditor.run(url(place, "bad"), odd, worklist="none")
    found = auditor.rules(run)
    assert found["p.odd"]["reason"] == "column name holds a text, people.id a number"
    assert (found["p.even"]["A"], found["p.none"]["status"]) == (4, "error")


def test_an_empty_table_is_unknown(auditor: Auditor, place: MariaServer) -> None:
    empty = BASIC.model_copy(update={"table": "noone"})
    run = auditor.run(url(place), empty)
    assert (run.verdict, run.reason) == (Verdict.UNKNOWN, "table noone is empty")


def refused(address: str) -> tuple[str, str]:
    with pytest.raises(JobProblem) as raised, reading(address, 5):
        pass
    return raised.value.reason, raised.value.hint


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # PyMySQL leaves sockets unconnected
def test_what_keeps_us_out_is_named_without_the_password(place: MariaServer) -> None:
    look = "Look at database.url of the target; `crmops doctor` tries it."
    wrong = url(place, password="wrong-planted")
    assert refused(wrong) == ("the database refused the password", look)
    nobody = place.url("bad", "nobody-here", "x")
    assert refused(nobody) == ("the database refused the password", look)
    assert refused(url(place, "mysql")) == ("the database refused the login", look)
    assert refused("mysql://x@127.0.0.1:1/crm") == (
        "nobody answers at the database's address", look
    )  # fmt: skip
    away = url(place).replace(str(place.socket), "/nowhere/socket")
    assert refused(away) == ("nobody answers at the database's address", look)
    gc.collect()
    assert refused("oracle://x@y/z") == (
        "audits do not read oracle databases", "They read postgresql, mysql, mariadb and sqlite.",
    )  # fmt: skip


def test_without_a_driver_it_says_what_to_install(
    place: MariaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    assert refused(url(place)) == (
        "the driver of mysql databases is not installed: pymysql",
        "The libraries of audits are an extra: pip install 'crmops[dq]'.",
    )


def test_nothing_can_be_written(place: MariaServer) -> None:
    import sqlalchemy as sa

    place.do("grant insert on bad.people to reader")
    with reading(url(place), 5) as connection, pytest.raises(sa.exc.DBAPIError) as raised:
        connection.exec_driver_sql("insert into people values (9, 'x', 'x')")
    assert raised.value.orig is not None and raised.value.orig.args[0] == 1792, "read only"
    place.do("revoke insert on bad.people from reader")


def test_a_statement_that_takes_too_long_is_named(auditor: Auditor, place: MariaServer) -> None:
    slow = suite(
        rule("p.one", "unique", columns=["id"]), rule("p.slow", "sql", good="sleep(60) = 0")
    )
    run = auditor.run(url(place), slow, statement_timeout=3, worklist="none")
    assert run.verdict is Verdict.ERROR
    assert run.reason == "1 of 2 rules could not run: p.slow: the statement timeout ended it"
    assert auditor.rules(run)["p.one"]["A"] == 4


def test_a_table_that_is_locked_is_named(auditor: Auditor, place: MariaServer) -> None:
    with closing(place.connect("bad")) as holder, holder.cursor() as cursor:
        cursor.execute("lock tables people write")
        run = auditor.run(url(place), BASIC, statement_timeout=40)
    assert run.verdict is Verdict.ERROR
    assert run.reason == "table people cannot be read: the table is locked by somebody else"


def test_a_connection_that_is_cut_half_way_is_an_error(
    auditor: Auditor, place: MariaServer
) -> None:
    stop = threading.Event()

    def cut() -> None:
        with closing(place.connect()) as connection, connection.cursor() as cursor:
            while not stop.wait(0.05):
                cursor.execute(
                    "select id from information_schema.processlist where user = 'reader'"
                    " and info like '%sleep%'"
                )
                for (number,) in cursor.fetchall():
                    cursor.execute(f"kill connection {number}")
                    stop.set()

    killer = threading.Thread(target=cut)
    killer.start()
    try:
        slow = suite(rule("p.slow", "sql", good="sleep(60) = 0"))
        run = auditor.run(url(place), slow, statement_timeout=50)
    finally:
        stop.set()
        killer.join()
    assert (run.verdict, run.reason) == (
        Verdict.ERROR, "the connection to the database was lost"
    )  # fmt: skip
