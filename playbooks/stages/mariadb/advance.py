"""From the backup's named instant, where the contents were compared, on to the wanted moment."""

from __future__ import annotations

import time
from datetime import UTC

from playbooks.catalogue import read_manifest
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.mariadb.server import events_from, replay
from playbooks.mariadb.system import split_place
from playbooks.report import Report
from playbooks.stages.mariadb.recover import look_at


def run(job: Job, report: Report) -> None:
    """The binary log knows seconds only: what was done in the moment's own second stays out.

    Raises CheckFailed when the log does not reach beyond the moment.
    """
    if job.to is None:
        raise CheckFailed("no moment was named to recover to")
    manifest = read_manifest(job.backup)
    name, position = split_place(manifest.point_lsn)
    logs = [job.wal / each for each in (name, *job.facts("fetch")["later"])]
    limit = job.to.astimezone(UTC).replace(microsecond=0)
    if next(events_from(job, limit, *logs), None) is None:
        raise CheckFailed("the binary log ends before the moment to recover to")
    began = time.monotonic()
    stop = limit.strftime("%Y-%m-%d %H:%M:%S")
    last = replay(job, f"--start-position={position}", f"--stop-datetime={stop}", *logs)
    newest = max(filter(None, (last, manifest.point_time)))
    report.fact(
        recovery_seconds=round(time.monotonic() - began, 3),
        target=job.to.isoformat(),
        newest_commit=newest.isoformat(),
        timeline=0,
        lsn="",
    )
    look_at(job, report)
    report.check(
        "nothing later came back", newest <= job.to,
        wanted=f"at most {job.to.isoformat()}", found=newest.isoformat(),
    )  # fmt: skip
