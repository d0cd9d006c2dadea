"""The worker process: killed, silent, cut off from its database, orphaned."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from crmops.history import History
from crmops.record import Kind, Verdict
from dq_checks.client import AuditWorker
from tests.dq_checks.support import Auditor, Database, rule, suite

PEOPLE = ("create table people (id bigint, name text)", "insert into people values (1, 'a')")
NAME = rule("people.name", "filled", column="name")
SLOW = rule("people.slow", "sql", good="pg_sleep(30) is not null")
_ASLEEP = (
    "select pid from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
)
ODD = rule("people.odd", "unique", columns=["name"])


def _when_asleep(database: Database, act: Callable[[int], None]) -> threading.Thread:
    """Does something to the server process of an audit once it sleeps in its query."""

    def wait_and_act() -> None:
        deadline = time.monotonic() + 30
        with psycopg.connect(database.admin, autocommit=True) as connection:
            while not (found := connection.execute(_ASLEEP).fetchall()):
                if time.monotonic() > deadline:
                    return
                time.sleep(0.05)
        act(found[0][0])

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def _wait_until_nobody_sleeps(database: Database) -> None:
    """The server notices within seconds that its client is dead: no query is left behind."""
    with psycopg.connect(database.admin, autocommit=True) as connection:
        for _ in range(200):
            if not connection.execute(_ASLEEP).fetchall():
                return
            time.sleep(0.1)
    raise AssertionError("the query of a killed worker goes on")


def test_a_killed_worker_is_an_error_and_the_next_suite_gets_a_new_one(
    auditor: Auditor, database: Database
) -> None:
    database.do(*PEOPLE)
    victim = auditor.worker.pid
    killer = _when_asleep(database, lambda _: os.kill(victim or 0, signal.SIGKILL))
    runs = auditor.runs(database.auditor, suite(NAME, SLOW), suite(NAME))
    killer.join()
    assert [each.verdict for each in runs] == [Verdict.ERROR, Verdict.PASS]
    assert runs[0].reason == "the audit worker was killed by SIGKILL"
    assert auditor.worker.pid not in (None, victim)
    _wait_until_nobody_sleeps(database)
    stored = auditor.history.latest(Kind.DQ, "crm", "people")
    assert stored == runs[1]


def test_a_lost_connection_is_an_error(auditor: Auditor, database: Database) -> None:
    database.do(*PEOPLE)
    thread = _when_asleep(
        database, lambda pid: database.do(f"select pg_terminate_backend({pid})", role="postgres")
    )
    run = auditor.run(database.auditor, suite(NAME, SLOW, ODD))
    thread.join()
    assert run.verdict is Verdict.ERROR
    assert run.reason in (
        "the database server was shut down",
        "the connection to the database was lost",
    )
    assert run.measures == () and run.evidence == (), "nothing is half recorded"
    assert auditor.run(database.auditor, suite(NAME)).verdict is Verdict.PASS


def test_a_statement_that_takes_too_long_is_ended_and_named(
    auditor: Auditor, database: Database
) -> None:
    database.do(*PEOPLE)
    run = auditor.run(database.auditor, suite(NAME, SLOW, ODD), statement_timeout=0.5)
    assert run.verdict is Verdict.ERROR
    assert "people.slow: the statement timeout ended it" in run.reason
    assert auditor.rules(run)["people.odd"]["status"] == "good", "it had a statement of its own"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "postgresql://u:planted-pw@127.0.0.1:PORT/crm",
            "nobody answers at the database's address",
        ),
        ("postgresql://u@no-such-host.invalid/crm", "nobody answers at the database's address"),
        ("no address", "the database's address cannot be read"),
        ("oracle://u:planted-pw@127.0.0.1/crm", "audits do not read oracle databases"),
    ],
)
def test_a_database_that_cannot_be_reached(auditor: Auditor, url: str, reason: str) -> None:
    with socket.socket() as silent:  # bound and not listening: nobody else can answer there
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        run = auditor.run(url.replace("PORT", str(port)), suite(NAME))
    assert (run.verdict, run.reason) == (Verdict.ERROR, reason)
    assert run.findings[0].detail
    assert "planted-pw" not in run.model_dump_json()


def test_a_role_that_may_not_log_in(auditor: Auditor, database: Database) -> None:
    run = auditor.run(database.auditor.replace("crm_audit@", "nobody_knows@"), suite(NAME))
    assert run.verdict is Verdict.ERROR
    assert run.reason == "role nobody_knows does not exist"


def test_the_address_is_in_no_process_list(auditor: Auditor, database: Database) -> None:
    database.do(*PEOPLE)
    auditor.run(database.auditor + "&password=planted-pw", suite(NAME))
    process = psutil.Process(auditor.worker.pid)
    assert "planted-pw" not in " ".join(process.cmdline())
    assert "planted-pw" not in str(process.environ())


def test_the_worker_gets_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PASSWORD", "planted-pw")
    monkeypatch.setenv("CRMOPS_HISTORY__URL", "postgresql://u:planted-pw@h/x")
    with AuditWorker() as started:
        environment = psutil.Process(started.pid).environ()
    assert "planted-pw" not in str(environment)


def test_the_worker_ends_with_whoever_started_it(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from dq_checks.client import AuditWorker\n"
        "worker = AuditWorker(); worker.start()\n"
        "print(worker.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        child = psutil.Process(int((parent.stdout and parent.stdout.readline()) or 0))
        parent.kill()
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout:
            parent.stdout.close()
    assert psutil.wait_procs([child], timeout=60)[1] == []


def test_an_interruption_ends_the_worker_and_leaves_an_error(
    history: History, database: Database
) -> None:
    database.do(*PEOPLE)
    worker = AuditWorker()

    def interrupt(_suite: str, _stage: str) -> None:
        raise KeyboardInterrupt

    auditor = Auditor(history, worker, interrupt)
    with pytest.raises(KeyboardInterrupt):
        auditor.run(database.auditor, suite(NAME))
    assert worker.pid is None
    stored = history.latest(Kind.DQ, "crm", "people")
    assert stored is not None
    assert (stored.verdict, stored.reason) == (Verdict.ERROR, "interrupted")
