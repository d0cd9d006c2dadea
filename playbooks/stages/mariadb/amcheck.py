"""Let MariaDB look at the structure of every table and index of the copy."""

from __future__ import annotations

from playbooks.job import Job
from playbooks.mariadb.digest import quoted
from playbooks.mariadb.link import copy_link, rows
from playbooks.mariadb.server import require_alive
from playbooks.report import Report

_TABLES = """
select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'
and table_schema not in ('information_schema', 'performance_schema', 'sys') order by 1, 2
"""


def run(job: Job, report: Report) -> None:
    """CHECK TABLE, as thorough as it gets; indexes are compared with their tables."""
    if not job.settings.amcheck:
        report.fact(skipped="switched off")
        return
    complaints = []
    with copy_link(job, None) as link:
        for schema, name in rows(link, _TABLES):
            said = rows(link, f"check table {quoted(schema)}.{quoted(name)} extended")
            if str(said[-1][3]) not in ("OK", "Table is already up to date"):
                complaints.append(f"{schema}.{name}: {said[-1][3]}")
    require_alive(job)
    report.check(
        "check table", not complaints, wanted="no complaint", found=f"{len(complaints)} tables",
        detail="; ".join(complaints[:5]),
    )  # fmt: skip
