"""Is the write-ahead log from the backup's begin to the named instant in the archive?"""

from __future__ import annotations

import time
from pathlib import Path

from crmops.errors import CannotRun
from playbooks.job import Job
from playbooks.report import Report
from playbooks.source import Connection, source_connection
from playbooks.tree import hash_file
from playbooks.wal import gaps, parse_lsn, segments

_POLL = 0.1


def run(job: Job, report: Report) -> None:
    """Raises CannotRun when the source does not archive; a gap is a failed check."""
    if job.archive is None:
        raise CannotRun("it is not known where the write-ahead log is archived")
    files, point = job.facts("verify_files"), job.facts("read_contents")
    size = files["segment_bytes"]
    first, last = parse_lsn(files["start_lsn"]), parse_lsn(point["lsn"])
    names = list(segments(files["timeline"], first, last, size))
    with source_connection(job) as connection:
        connection.execute(b"select pg_switch_wal()")
        _wait(connection, job.archive / names[-1], size, job.settings.archive_wait)
    missing = gaps(job.archive, names, size)
    report.check(
        "write-ahead log", not missing, wanted=f"{len(names)} segments",
        found=f"{len(names) - len(missing)} segments", detail="; ".join(missing[:5]),
    )  # fmt: skip
    present = [each for each in names if not (missing and gaps(job.archive, [each], size))]
    report.fact(
        missing=len(missing),
        segments={each: hash_file(job.archive / each) for each in present},
    )


def _wait(connection: Connection, last: Path, size: int, seconds: float) -> None:
    """Wait for the last segment, the one that the instant lies in."""
    deadline = time.monotonic() + seconds
    while not (last.is_file() and last.stat().st_size == size):
        if time.monotonic() > deadline:
            row = connection.execute(
                b"select failed_count, last_failed_wal from pg_stat_archiver"
            ).fetchone()
            failed = f"; {row[0]} attempts failed, last {row[1]}" if row and row[0] else ""
            raise CannotRun(
                f"{last.name} is not in the archive after {seconds:.0f} s{failed}",
                hint="Look at archive_command in the source's log, and at "
                "database.archive_directory of the target.",
            )
        time.sleep(_POLL)
