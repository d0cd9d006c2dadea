"""Can work be done on the copy?  Read and write by SQL, then the application, if one is named."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from crmops.errors import CannotRun
from playbooks.catalogue import read_manifest
from playbooks.instance import require_alive
from playbooks.job import JOB_VARIABLE, Job
from playbooks.journeys import walk_journeys
from playbooks.report import Report
from playbooks.source import Connection, copy_address, copy_connection, first_line

_LARGEST = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname !~ '^pg_'
  and n.nspname <> 'information_schema' order by pg_relation_size(c.oid) desc, 1, 2 limit 1
"""
_POLL = 0.1


def run(job: Job, report: Report) -> None:
    """Ends the measured recovery: from here on people could work."""
    manifest = read_manifest(job.backup)
    with copy_connection(job, manifest.database, manifest.superuser) as connection:
        _write_and_read(connection, report)
        for statement in job.settings.smoke.sql:
            _statement(connection, statement, report)
    if job.settings.smoke.serve:
        address = copy_address(job.sockets, manifest.database, manifest.superuser)
        serve(job, address, report)
    require_alive(job)
    report.fact(working_tick=time.monotonic())


def _write_and_read(connection: Connection, report: Report) -> None:
    """A new table is written, committed and read back; a real row is changed and put back."""
    connection.execute(b"create table public.crmops_smoke as select 42 as answer")
    row = connection.execute(b"select answer from public.crmops_smoke").fetchone()
    connection.execute(b"drop table public.crmops_smoke")
    report.check("write and read", row == (42,), wanted=42, found=row[0] if row else "nothing")
    largest = connection.execute(_LARGEST.encode()).fetchone()
    if largest is None:
        report.check("a table to work on", False, wanted="at least one", found="none")
        return
    table = sql.Identifier(str(largest[0]), str(largest[1]))
    with connection.transaction(force_rollback=True):
        connection.execute(b"set local session_replication_role = 'replica'")  # no triggers
        deleted = connection.execute(
            sql.SQL("delete from {0} where ctid = (select min(ctid) from {0})").format(table)
        ).rowcount
    report.check(
        f"a row of {largest[0]}.{largest[1]} can be changed", deleted == 1, wanted=1, found=deleted
    )


def _statement(connection: Connection, statement: str, report: Report) -> None:
    detail = ""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.Error as error:
        detail = first_line(error)
    found = "failure" if detail else "success"
    report.check(
        f"statement {statement[:40]!r}", not detail, wanted="success", found=found, detail=detail
    )


def serve(job: Job, address: str, report: Report) -> None:
    """Start the application on the copy, at its address, and ask whether it is well."""
    smoke = job.settings.smoke
    ready = job.scratch / "ready.json"
    command = [
        each.replace("{database_url}", address).replace("{ready_file}", str(ready))
        for each in smoke.serve
    ]
    with (job.scratch / "application.log").open("wb") as log:
        try:
            process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=_environment(job), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise CannotRun(
                f"{command[0]} cannot be started: {error.strerror}", hint="See drills.smoke.serve."
            ) from error
        try:
            problem = _wait_healthy(process, ready, smoke.health, smoke.timeout)
            _answers(smoke.health, problem, report)
            if smoke.journeys and not problem:
                walk_journeys(job, _url(ready), report)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(health: str, problem: str, report: Report) -> None:
    wanted = f"{health}: 200"
    found = "no answer" if problem else wanted
    report.check("the application answers", not problem, wanted=wanted, found=found, detail=problem)


def _wait_healthy(
    process: subprocess.Popen[bytes], ready: Path, health: str, seconds: float
) -> str:
    """Nothing once the application is healthy, else what kept it."""
    deadline = time.monotonic() + seconds
    problem = "it did not write its ready file"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"the application ended with code {process.returncode}"
        if ready.is_file():
            problem = _ask(ready, health)
            if not problem:
                return ""
        time.sleep(_POLL)
    return f"{problem} within {seconds:.0f} s"


def _ask(ready: Path, health: str) -> str:
    import httpx

    try:
        url = _url(ready) + health
        if not url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
            return "the ready file names an address that is not of this machine"
        code = httpx.get(url, timeout=5, trust_env=False).status_code
        return "" if code == 200 else f"{health} answered {code}"
    except (httpx.HTTPError, OSError, ValueError, KeyError):
        return f"{health} did not answer"


def _url(ready: Path) -> str:
    return str(json.loads(ready.read_bytes())["url"]).rstrip("/")


def _environment(job: Job) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", JOB_VARIABLE: job.id}
