"""Does the copy contain what the source contained at the named instant?"""

from __future__ import annotations

import time

from playbooks.catalogue import read_manifest
from playbooks.digest import (
    Contents,
    compare,
    differing_tables,
    read_contents,
    read_sequences,
    text_of,
)
from playbooks.errors import CheckFailed
from playbooks.instance import require_alive
from playbooks.job import Job
from playbooks.report import Report
from playbooks.source import copy_connection


def run(job: Job, report: Report) -> None:
    """Every difference is a failed check; a backup without known contents compares nothing."""
    manifest = read_manifest(job.backup)
    began = time.monotonic()
    database, user = manifest.database, manifest.superuser
    _require_database(job, database, user)
    with copy_connection(job, database, user) as connection:
        found = read_contents(
            lambda: copy_connection(job, database, user),
            connection,
            None,
            read_sequences(connection),
        )
    require_alive(job)
    seconds = round(time.monotonic() - began, 3)
    report.fact(seconds=seconds, rows=found.rows, compared=0, differing=None)
    if manifest.contents is None:
        report.fact(skipped="the backup does not know what the database contained")
        return
    compare_contents(manifest.contents, found, report)


def compare_contents(wanted: Contents, found: Contents, report: Report) -> None:
    """A check for each kind of thing that is compared; tables without a log are left out."""
    tables = [each for each in wanted.tables if not each.unlogged]
    report.fact(compared=len(tables), differing=len(differing_tables(wanted, found)))
    for what, lines in compare(wanted, found).items():
        report.check(
            what, not lines, wanted="as on the source", found=f"{len(lines)} differ",
            detail=text_of({what: lines}),
        )  # fmt: skip


def _require_database(job: Job, database: str, user: str) -> None:
    with copy_connection(job, "template1", user) as connection:
        row = connection.execute(
            b"select count(*) from pg_database where datname = %s", (database,)
        ).fetchone()
    if row is None or not row[0]:
        raise CheckFailed(f"the restored copy has no database {database!r}")
