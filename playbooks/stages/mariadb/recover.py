"""Prepare the copy, start it, and replay the binary log up to the backup's named instant."""

from __future__ import annotations

import time

from playbooks.catalogue import Manifest, read_manifest
from playbooks.engines import MARIADB
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.mariadb.link import copy_link, rows
from playbooks.mariadb.server import pid_of, replay, run_tool, start
from playbooks.mariadb.system import split_place
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when the copy cannot be prepared or the log not be replayed."""
    manifest = read_manifest(job.backup)
    began = time.monotonic()
    done = run_tool(job, "mariadb_backup", "--no-defaults", "--prepare", f"--target-dir={job.data}")
    if done.code != 0 or "completed OK!" not in done.err:
        raise CheckFailed(f"the backup cannot be prepared: {done.last_line}")
    pid = start(job)
    _replay(job, manifest)
    report.fact(
        pid=pid,
        recovery_seconds=round(time.monotonic() - began, 3),
        # The copy is compared with the source as of this instant, so nothing before it is lost.
        newest_commit=manifest.point_time.isoformat(),
        timeline=0,
        lsn=manifest.point_lsn,
    )
    look_at(job, report)


def _replay(job: Job, manifest: Manifest) -> None:
    """From where the files were copied to the named instant; both may be the same place."""
    if manifest.start_lsn == manifest.point_lsn:
        return
    names = MARIADB.logs(manifest)
    replay(
        job,
        f"--start-position={split_place(manifest.start_lsn)[1]}",
        f"--stop-position={split_place(manifest.point_lsn)[1]}",
        *(job.wal / name for name in names),
    )


def look_at(job: Job, report: Report) -> None:
    """Check that the copy is isolated and alive."""
    with copy_link(job, None) as link:
        row = rows(link, "select @@log_bin, @@skip_networking, @@event_scheduler, @@datadir")[0]
        replicas = rows(link, "show all slaves status")
    report.check("binary log", not row[0], wanted="off", found="on" if row[0] else "off")
    network = "sockets only" if row[1] else "open"
    report.check("network", bool(row[1]), wanted="sockets only", found=network)
    report.check("events", row[2] == "OFF", wanted="OFF", found=row[2])
    report.check("replication", not replicas, wanted="none", found=len(replicas))
    living = pid_of(job) is not None
    report.check("still alive", living, wanted="yes", found="yes" if living else "no")
