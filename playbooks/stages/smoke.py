"""Can work be done on the copy?  Read and write by SQL, then the application, if one is named."""

from __future__ import annotations

import time

import psycopg
from psycopg import sql

from playbooks.application import application_on
from playbooks.catalogue import read_manifest
from playbooks.instance import require_alive
from playbooks.job import Job
from playbooks.journeys import walk_journeys
from playbooks.report import Report
from playbooks.source import Connection, copy_address, copy_connection, first_line

_LARGEST = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname !~ '^pg_'
  and n.nspname <> 'information_schema' order by pg_relation_size(c.oid) desc, 1, 2 limit 1
"""


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
    with application_on(job, address) as application:
        problem = application.wait_healthy()
        wanted = f"{smoke.health}: 200"
        found = "no answer" if problem else wanted
        report.check(
            "the application answers", not problem, wanted=wanted, found=found, detail=problem
        )
        if smoke.journeys and not problem:
            walk_journeys(job, application.url, report)
