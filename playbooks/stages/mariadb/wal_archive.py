"""Is the binary log from the backup to the named instant in the archive?"""

from __future__ import annotations

import time

from crmops.errors import CannotRun
from playbooks.job import Job
from playbooks.mariadb.link import rows, source_link
from playbooks.mariadb.system import logs_between, next_log, split_place
from playbooks.providers.base import need_archive
from playbooks.report import Report
from playbooks.tree import hash_file

_POLL = 0.1


def run(job: Job, report: Report) -> None:
    """The log with the instant is closed first.  Raises CannotRun when it does not arrive."""
    archive = need_archive(job)
    first, _ = split_place(job.facts("verify_files")["start_lsn"])
    last, _ = split_place(job.facts("read_contents")["lsn"])
    names = logs_between(first, last)
    with source_link(job) as link:
        rows(link, "flush binary logs")
        known = {str(row[0]): int(row[1]) for row in rows(link, "show binary logs")}
    deadline = time.monotonic() + job.settings.archive_wait
    while not ((path := archive / last).is_file() and path.stat().st_size == known.get(last, -1)):
        if time.monotonic() > deadline:
            raise CannotRun(
                f"{last} is not in the archive after {job.settings.archive_wait:.0f} s",
                hint="Set database.archive_directory to where binary logs lie or are copied to.",
            )
        time.sleep(_POLL)
    missing = [f"{name} is missing" for name in names if not (archive / name).is_file()]
    report.check(
        "binary log", not missing, wanted=f"{len(names)} files",
        found=f"{len(names) - len(missing)} files", detail="; ".join(missing[:5]),
    )  # fmt: skip
    hashes = {name: hash_file(archive / name) for name in names if (archive / name).is_file()}
    report.fact(missing=len(missing), segments=hashes, next=next_log(last))
