"""Is the write-ahead log from the backup's begin to the named instant in the archive?"""

from __future__ import annotations

import time

from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.job import Job
from playbooks.providers import provider_of
from playbooks.report import Report
from playbooks.source import Connection, source_connection
from playbooks.tree import hash_file
from playbooks.wal import gaps, parse_lsn, segments

_POLL = 0.1


def run(job: Job, report: Report) -> None:
    """Raises CannotRun when the source does not archive; a gap is a failed check."""
    files, point = job.facts("verify_files"), job.facts("read_contents")
    size = files["segment_bytes"]
    first, last = parse_lsn(files["start_lsn"]), parse_lsn(point["lsn"])
    names = list(segments(files["timeline"], first, last, size))
    job.wal.mkdir(mode=0o700, exist_ok=True)
    osuser.give(job.wal, osuser.substitute())
    with source_connection(job) as connection:
        connection.execute(b"select pg_switch_wal()")
        _wait(connection, job, names[-1], size)
    hashes: dict[str, str] = {}
    missing: list[str] = []
    for name in names:
        found = provider_of(job).segment(job, name, job.wal)
        wrong = gaps(found.parent, [name], size) if found else [f"{name} is missing"]
        missing += wrong
        if found is not None and not wrong:
            hashes[name] = hash_file(found)
        (job.wal / name).unlink(missing_ok=True)
    report.check(
        "write-ahead log", not missing, wanted=f"{len(names)} segments",
        found=f"{len(names) - len(missing)} segments", detail="; ".join(missing[:5]),
    )  # fmt: skip
    report.fact(missing=len(missing), segments=hashes)


def _wait(connection: Connection, job: Job, name: str, size: int) -> None:
    """Wait for the last segment, the one that the instant lies in."""
    seconds = job.settings.archive_wait
    deadline = time.monotonic() + seconds
    while not _arrived(job, name, size):
        if time.monotonic() > deadline:
            row = connection.execute(
                b"select failed_count, last_failed_wal from pg_stat_archiver"
            ).fetchone()
            failed = f"; {row[0]} attempts failed, last {row[1]}" if row and row[0] else ""
            raise CannotRun(
                f"{name} is not in the archive after {seconds:.0f} s{failed}",
                hint="Look at archive_command in the source's log, and at "
                "database.archive_directory of the target.",
            )
        time.sleep(_POLL)


def _arrived(job: Job, name: str, size: int) -> bool:
    found = provider_of(job).segment(job, name, job.wal)
    return found is not None and not gaps(found.parent, [name], size)
