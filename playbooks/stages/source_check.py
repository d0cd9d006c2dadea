"""Before a backup: is the source there, is it what we can back up, is there room?"""

from __future__ import annotations

from crmops.errors import CannotRun
from playbooks.job import Job
from playbooks.postgres import tool_version
from playbooks.providers import provider_of
from playbooks.report import Report
from playbooks.source import one_row, source_connection
from playbooks.tree import need_space

_COPIED_SETTINGS = (
    "max_connections", "max_worker_processes", "max_wal_senders",
    "max_prepared_transactions", "max_locks_per_transaction",
)  # fmt: skip
"""A recovering server must not have less of these than the source had."""

_ASK = """
select current_setting('server_version_num')::int, current_setting('archive_mode'),
       current_setting('data_checksums'), current_setting('wal_segment_size'),
       current_setting('server_encoding'), current_database(), pg_is_in_recovery(),
       (select rolname from pg_roles where oid = 10),
       (select sum(pg_database_size(oid))::bigint from pg_database where datallowconn),
       (select count(*) from pg_tablespace where spcname !~ '^pg_'),
       (select system_identifier::text from pg_control_system()),
       (select timeline_id from pg_control_checkpoint())
"""


def run(job: Job, report: Report) -> None:
    """Raises CannotRun for a source that cannot be backed up in a way that can be restored."""
    major, tools = tool_version(job)
    with source_connection(job) as connection:
        row = one_row(connection, _ASK.encode())
        settings = connection.execute(
            b"select name, setting from pg_settings where name = any(%s)", (list(_COPIED_SETTINGS),)
        ).fetchall()
    source_major = int(row[0]) // 10000
    if source_major != major:
        raise CannotRun(
            f"the source is PostgreSQL {source_major}, the programs at hand are {tools}",
            hint="Set database.binaries of the target to programs of the source's version.",
        )
    if row[9]:
        raise CannotRun(
            f"the source has {row[9]} tablespaces",
            hint="Tablespaces are not supported: move their tables to the default one.",
        )
    if row[1] == "off":
        raise CannotRun(
            "the source's write-ahead log is not archived",
            hint="Set archive_mode and archive_command, and database.archive_directory.",
        )
    provider_of(job).check(job)
    need_space(job.scratch, int(row[8] * 1.1) + (64 << 20), "the backup")
    need_space(job.backup.parent, int(row[8] * 1.1) + (64 << 20), "the backup")
    report.fact(
        tools=tools,
        major=major,
        checksums=row[2],
        encoding=row[4],
        database=row[5],
        standby=row[6],
        superuser=row[7],
        bytes=row[8],
        system_identifier=row[10],
        timeline=row[11],
        settings={str(name): str(value) for name, value in settings},
    )
