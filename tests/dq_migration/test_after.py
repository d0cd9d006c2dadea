"""Marker, rollback, sign-off; killed and cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crmops.cli import run as crmops
from crmops.errors import UnknownEvidence, UsageError
from crmops.history import History
from crmops.record import Verdict
from dq_checks.migration.rollback import check_rollback, mark
from dq_checks.migration.run import validate
from dq_checks.migration.signoff import sign_off
from tests.dq_migration.support import Migrator, write_csv, write_table

TYPES = {"id": "text", "name": "text", "extra": "timestamptz"}
BEFORE = [("1", "a", "2026-01-01 00:00:00+00"), ("2", None, None)]


def _target(migrator: Migrator, database: str) -> Any:
    write_csv(migrator.directory / "source.csv", ("id", "name"), [("9", "z")])
    return migrator.job(target={"database": database, "table": "loaded"})


def test_a_rollback_is_proven(migrator: Migrator, database: str) -> None:
    job = _target(migrator, database)
    write_table(database, "loaded", TYPES, BEFORE)
    assert check_rollback(job, "all").verdict is Verdict.UNKNOWN
    marked = mark(job, "all")
    assert (marked.verdict, marked.reason) == (Verdict.PASS, "the target has 2 rows; marked")
    write_table(database, "loaded", TYPES, [*BEFORE, ("9", "z", None)])
    left = check_rollback(job, "all")
    assert left.verdict is Verdict.FAIL
    assert left.reason.startswith("the target is not as it was: 2 rows before, 3 now")
    harmed = [(*BEFORE[0][:2], "2026-01-01 00:00:00.000001+00"), BEFORE[1]]
    write_table(database, "loaded", TYPES, harmed)
    assert check_rollback(job, "all").verdict is Verdict.FAIL  # a column outside of the plan
    write_table(database, "loaded", TYPES, BEFORE[::-1])
    restored = check_rollback(job, "all")
    assert restored.verdict is Verdict.PASS
    assert restored.reason == f"all 2 rows are as marker {marked.id} has them"


def test_an_empty_target_alone_proves_no_rollback(migrator: Migrator, database: str) -> None:
    job = _target(migrator, database)
    write_table(database, "loaded", TYPES, [])
    mark(job, "all")
    assert check_rollback(job, "all").verdict is Verdict.UNKNOWN
    write_table(database, "loaded", TYPES, [("9", "z", None)])
    validate(job, "all")
    write_table(database, "loaded", TYPES, [])
    assert check_rollback(job, "all").verdict is Verdict.PASS


def test_sign_off_rests_on_a_pass(migrator: Migrator) -> None:
    with pytest.raises(UnknownEvidence, match="batch all was never validated"):
        sign_off(migrator.job(), "all", "Ann", "checked")
    migrator.files([("1", "a")], [("1", "b")])
    with pytest.raises(UnknownEvidence, match=r"is fail: rows\.different is 1"):
        sign_off(migrator.job(), "all", "Ann", "checked")
    passed = migrator.files([("1", "a")], [("1", "a")])
    with pytest.raises(UsageError, match="--by is blank"):
        sign_off(migrator.job(), "all", " ", "checked")
    signed = sign_off(migrator.job(), "all", "Ann Lee", "spot checks done")
    assert signed.subject == "migration-sign-off:try/all"
    kept = json.loads(migrator.text(signed, "sign-off.json"))
    assert (kept["signed_by"], kept["note"]) == ("Ann Lee", "spot checks done")
    assert kept["run"] == passed.id
    with pytest.raises(UnknownEvidence, match="the plan changed since batch all was validated"):
        sign_off(migrator.job(sample=1), "all", "Ann", "checked")


@pytest.fixture
def slow(migrator: Migrator, database: str) -> Path:
    """A plan whose target takes minutes to read; says when it is being read."""
    query = "select i::text as id, pg_sleep(60)::text as name from generate_series(1, 9) as i"
    write_csv(migrator.directory / "source.csv", ("id", "name"), [("1", "a")])
    migrator.job(target={"database": database, "query": query})
    history = f"sqlite:///{migrator.directory / 'history.db'}"
    place = f"{{url: '{history}', artifacts: '{migrator.directory / 'artifacts'}'}}"
    (migrator.directory / "crmops.yaml").write_text(f"targets: {{}}\nhistory: {place}\n")
    _end_backends(database)
    return migrator.directory


def _end_backends(database: str) -> None:
    """A server notices only after a while that its client was killed."""
    with psycopg.connect(database.replace("crm@", "postgres@", 1), autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
            "where application_name = 'crmops migration' and datname = current_database()"
        )


def _backend(database: str) -> int:
    """The process of the comparison's query, once it runs."""
    deadline = time.monotonic() + 60
    asked = (
        "select pid from pg_stat_activity where application_name = 'crmops migration' "
        "and query like 'COPY%' and datname = current_database()"
    )
    with psycopg.connect(database, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = connection.execute(asked).fetchone()
            if row is not None:
                return int(row[0])
            time.sleep(0.05)
    raise AssertionError("the query never ran")


def _start(directory: Path) -> subprocess.Popen[bytes]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CRMOPS_")}
    environ |= {
        "CRMOPS_STATE": str(directory / "state"),
        "TMPDIR": str(directory),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    command = [sys.executable, "-m", "crmops", "dq", "migration", "plan.yaml"]
    return subprocess.Popen(
        command, cwd=directory, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_process_leaves_an_error(
    slow: Path, history: History, database: str, how: signal.Signals
) -> None:
    process = _start(slow)
    try:
        _backend(database)
        process.send_signal(how)
        process.wait(30)
    finally:
        process.kill()
        output = process.communicate()[0]
    assert b"Traceback" not in output
    history.reap()
    (run,) = history.find()
    assert (run.verdict, run.measures, run.evidence) == (Verdict.ERROR, (), ())


def test_a_connection_that_is_lost(slow: Path, history: History, database: str) -> None:
    process = _start(slow)
    try:
        pid = _backend(database)
        with psycopg.connect(database.replace("crm@", "postgres@", 1), autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(%s)", [pid])
        output = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 4, output
    (run,) = history.find()
    assert run.reason == "target: the connection to the database was lost"
    assert (run.verdict, run.measures, run.evidence) == (Verdict.ERROR, (), ())
    assert not list(slow.glob("crmops-migration-*"))


def test_troubles_of_a_database_are_named(migrator: Migrator, database: str) -> None:
    write_csv(migrator.directory / "source.csv", ("id", "name"), [("1", "a")])
    cases = {
        ("table", "gone"): 'target: relation "gone" does not exist',
        ("query", "select 1 as id, 'Zaphod'::int as name"): (
            "target: PostgreSQL could not answer (22P02)"
        ),
        ("query", "select 1 as id, pg_sleep(9)::text as name"): (
            "target: a query took longer than statement_timeout"
        ),
    }
    for (kind, text), reason in cases.items():
        run = migrator.run(target={"database": database, kind: text}, statement_timeout="300ms")
        assert (run.verdict, run.reason) == (Verdict.ERROR, reason)
        assert "Zaphod" not in run.model_dump_json()
    away = "postgresql://crm@127.0.0.1:1/crm"
    run = migrator.run(target={"database": away, "table": "loaded"})
    assert run.reason == "target: the database does not answer"


def test_the_command(migrator: Migrator, monkeypatch: Any, capsys: Any) -> None:
    migrator.files([("1", "a")], [("1", "a")])
    monkeypatch.setenv("CRMOPS_STATE", str(migrator.directory / "state"))
    monkeypatch.chdir(migrator.directory)
    Path("crmops.yaml").write_text("targets: {}\n")
    assert crmops(["dq", "migration", "plan.yaml", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "pass"
    assert document["runs"][0]["subject"] == "migration:try/all"
    sign = ["dq", "migration", "plan.yaml", "--do", "sign-off", "--by", "Ann", "--note", "done"]
    assert crmops(sign) == 0
    assert "signed off by Ann: done" in capsys.readouterr().out
    assert crmops(["dq", "migration", "plan.yaml", "--batch", "b7"]) == 2
    assert capsys.readouterr().err == ("error: the plan has no batch 'b7'\nhint: There are: all.\n")
