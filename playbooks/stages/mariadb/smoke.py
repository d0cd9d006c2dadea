"""Can work be done on the copy?  Read and write by SQL, then the application, if one is named."""

from __future__ import annotations

import time

import pymysql

from playbooks.catalogue import read_manifest
from playbooks.job import Job
from playbooks.mariadb.link import Link, copy_address, copy_link, rows, words
from playbooks.mariadb.server import require_alive
from playbooks.report import Report
from playbooks.stages.smoke import serve


def run(job: Job, report: Report) -> None:
    """Ends the measured recovery: from here on people could work."""
    manifest = read_manifest(job.backup)
    with copy_link(job, manifest.database) as link:
        rows(link, "create table crmops_smoke engine = InnoDB as select 42 as answer")
        found = rows(link, "select answer from crmops_smoke")
        rows(link, "drop table crmops_smoke")
        report.check("write and read", found == [(42,)], wanted=42, found=found)
        for statement in job.settings.smoke.sql:
            _statement(link, statement, report)
    if job.settings.smoke.serve:
        serve(job, copy_address(job, manifest.database), report)
    require_alive(job)
    report.fact(working_tick=time.monotonic())


def _statement(link: Link, statement: str, report: Report) -> None:
    detail = ""
    try:
        rows(link, "begin")
        rows(link, statement)
    except pymysql.MySQLError as error:
        detail = words(error)
    rows(link, "rollback")
    found = "failure" if detail else "success"
    report.check(
        f"statement {statement[:40]!r}", not detail, wanted="success", found=found, detail=detail
    )
