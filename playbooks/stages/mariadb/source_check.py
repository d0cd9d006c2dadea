"""Before a backup: is the source there, is it what we can back up, is there room?"""

from __future__ import annotations

from pathlib import Path

from crmops.errors import CannotRun
from playbooks.job import Job
from playbooks.mariadb.link import rows, source_link
from playbooks.mariadb.server import run_tool
from playbooks.mariadb.system import system_of
from playbooks.providers import provider_of
from playbooks.report import Report
from playbooks.tree import need_space

_COPIED_SETTINGS = ("lower_case_table_names", "character_set_server", "collation_server",
                    "sql_mode", "innodb_page_size", "innodb_data_file_path")  # fmt: skip
"""The copy cannot read the files without the same, or would read the log otherwise."""

_ASK = """
select @@version, @@log_bin, @@datadir, database(), @@binlog_format, current_user(),
  (select coalesce(sum(data_length + index_length), 0) from information_schema.tables),
  (select count(*) from information_schema.tables where table_type = 'BASE TABLE'
   and engine <> 'InnoDB' and table_schema = database())
"""


def run(job: Job, report: Report) -> None:
    """Raises CannotRun for a source that cannot be backed up in a way that can be restored."""
    tools = run_tool(job, "mariadb_backup", "--version")
    with source_link(job) as link:
        row = rows(link, _ASK)[0]
        settings = {name: str(rows(link, f"select @@{name}")[0][0]) for name in _COPIED_SETTINGS}
    version = str(row[0]).partition("-")[0]
    major = ".".join(version.split(".")[:2])
    if f"based on MariaDB server {major}." not in tools.err + tools.out:
        raise CannotRun(
            f"the source is MariaDB {version}, mariadb-backup is of another version",
            hint="Install the package mariadb-backup of the source's version.",
        )
    if not row[1]:
        raise CannotRun(
            "the source writes no binary log", hint="Set log_bin: a point in time needs it."
        )
    provider_of(job).check(job)
    need_space(job.scratch, int(float(row[6]) * 1.1) + (64 << 20), "the backup")
    need_space(job.backup.parent, int(float(row[6]) * 1.1) + (64 << 20), "the backup")
    report.fact(
        tools=version,
        major=int(version.partition(".")[0]),
        database=row[3],
        superuser=str(row[5]).partition("@")[0],
        bytes=int(row[6]),
        binlog_format=row[4],
        not_transactional=int(row[7]),
        system_identifier=system_of(Path(str(row[2]))),
        settings=settings,
    )
