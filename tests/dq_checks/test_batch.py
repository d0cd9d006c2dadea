"""All suites of a command: killed and gone on with, never twice at once on one target."""

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
from crmops.errors import AlreadyRunning
from crmops.history import History, open_history
from crmops.record import Kind, Verdict
from dq_checks.batch import CLAIM, run_batch
from dq_checks.client import AuditWorker
from dq_checks.run import Audit
from dq_checks.settings import Settings
from dq_checks.suite import Suite
from tests.dq_checks.support import Auditor, Database, rule, suite

QUICK = suite(rule("first.name", "filled", column="name"), name="first")
SLEEPS = "(select pg_sleep(seconds) is not null from pace)"
SLOW = suite(rule("second.slow", "sql", good=SLEEPS), name="second")
PACE = (
    "create table people (id bigint primary key, name text)",
    "insert into people values (1, 'a')",
    "create table pace (seconds int)",
    "insert into pace values (60)",
)
WAIT_SECONDS = 120


def write_place(place: Path, url: str) -> dict[str, str]:
    (place / "suites").mkdir()
    for each in (QUICK, SLOW):
        text = each.model_dump_json(exclude_defaults=True, by_alias=True)
        (place / "suites" / f"{each.name}.yaml").write_text(text)
    (place / "crmops.yaml").write_text(
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:1\n"
        "    database:\n      url: env:AUDIT_URL\n"
        "dq:\n  suites: [first, second]\n  suite_directories: [suites]\n"
    )
    kept = {name: each for name, each in os.environ.items() if not name.startswith("CRMOPS_")}
    return {**kept, "AUDIT_URL": url}


def wait_for(batch: Path, process: subprocess.Popen[bytes], done: int) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if batch.exists():
            found: dict[str, Any] = json.loads(batch.read_text())
            if len(found["done"]) == done:
                return found
        time.sleep(0.05)
    raise AssertionError(f"the audit did not come so far (exit code {process.poll()})")


def asleep(database: Database) -> None:
    query = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = %s"
    deadline = time.monotonic() + WAIT_SECONDS
    with psycopg.connect(database.admin, autocommit=True) as connection:
        while not connection.execute(query, (connection.info.dbname,)).fetchall():
            assert time.monotonic() < deadline, "the second suite was never begun"
            time.sleep(0.05)


def test_a_killed_run_is_gone_on_with(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    database.do(*PACE)
    environment = write_place(tmp_path, database.auditor)
    command = [sys.executable, "-m", "crmops", "dq", "run"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        batch = tmp_path / ".crmops" / "dq" / "batches" / "crm.json"
        first = wait_for(batch, process, 1)["done"]["first"]
        asleep(database)
        monkeypatch.chdir(tmp_path)
        for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AUDIT_URL", database.auditor)
        assert crmops(["--quiet", "dq", "run"]) == 4
        assert capsys.readouterr().err == (
            "error: target 'crm' is being audited already\n"
            "hint: Wait for the other audit; two at once would load its database twice.\n"
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    database.do("update pace set seconds = 0")
    assert crmops(["--quiet", "dq", "run", "--resume", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [each["subject"] for each in runs] == ["first", "second"]
    assert runs[0]["id"] == first
    history = open_history(
        f"sqlite:///{tmp_path / '.crmops' / 'history.db'}", tmp_path / ".crmops" / "artifacts"
    )
    kept = [(each.subject, each.verdict) for each in history.find(kind=Kind.DQ)]
    half = next(each for each in history.find(kind=Kind.DQ) if each.verdict is Verdict.ERROR)
    history.close()
    assert sorted(kept) == [("first", "pass"), ("second", "error"), ("second", "pass")]
    assert half.measures == () and half.evidence == ()
    assert not batch.exists()


def batched(
    auditor: Auditor, url: str, place: Path, *suites: Suite, resume: bool
) -> list[tuple[str, str, str]]:
    audit = Audit("crm", url, Settings(), auditor.history)
    runs = run_batch(audit, suites, place, resume=resume, worker=auditor.worker)
    return [(each.subject, each.verdict.value, each.id) for each in runs]


def test_what_failed_to_run_or_has_changed_is_audited_again(
    auditor: Auditor, database: Database, tmp_path: Path
) -> None:
    database.do(*PACE[:2])
    lost = suite(rule("lost.name", "filled", column="name"), name="lost", table="lost")
    audit = Audit("crm", database.auditor, Settings(), auditor.history)

    def stop(name: str, _: str) -> None:
        if name == "third":
            raise KeyboardInterrupt

    third = QUICK.model_copy(update={"name": "third"})
    with pytest.raises(KeyboardInterrupt):
        run_batch(
            Audit(**{**vars(audit), "told": stop}), [QUICK, lost, third], tmp_path,
            worker=auditor.worker,
        )  # fmt: skip
    again = batched(auditor, database.auditor, tmp_path, QUICK, lost, third, resume=True)
    ids = [each.id for each in reversed(auditor.history.find(kind=Kind.DQ))]
    assert [each[:2] for each in again] == [
        ("first", "pass"), ("lost", "error"), ("third", "pass"),
    ]  # fmt: skip
    assert [ids.index(each[2]) for each in again] == [0, 3, 4]
    # nothing is left to go on with, so everything is audited
    anew = batched(auditor, database.auditor, tmp_path, QUICK, resume=True)
    assert anew[0][2] not in ids


def test_a_target_that_somebody_else_holds_is_refused(
    history: History, worker: AuditWorker, tmp_path: Path
) -> None:
    owner = f"elsewhere/{os.getpid()}/1.0"
    assert history.claim("dq/crm", CLAIM, owner)
    audit = Audit("crm", "postgresql://nobody@127.0.0.1:1/x", Settings(), history)
    with pytest.raises(AlreadyRunning, match="target 'crm' is being audited already"):
        run_batch(audit, [QUICK], tmp_path, worker=worker)
    assert history.find() == []


def test_a_table_that_somebody_else_audits_is_an_error(
    auditor: Auditor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.do(*PACE[:2])
    with psycopg.connect(database.auditor) as other:
        lock = "select pg_advisory_xact_lock(%s, hashtext('.people'))"
        other.execute(lock, (0x63726D6F,))
        run = auditor.run(database.auditor, QUICK)
    assert (run.verdict, run.reason) == (Verdict.ERROR, "another audit reads table people now")
    assert auditor.run(database.auditor, QUICK).verdict is Verdict.PASS
