"""Start the copy, let it recover to its target, and make sure that it did and still lives."""

from __future__ import annotations

import re
import time

from playbooks.catalogue import read_manifest
from playbooks.errors import CheckFailed
from playbooks.instance import PAUSED, PROMOTED, alive, log_of, start, wait_until
from playbooks.job import Job
from playbooks.report import Report
from playbooks.source import copy_connection, one_row

_STOPPED = re.compile(r'recovery stopping at restore point "([^"]+)", time (.+)')
_ASK = b"""
select pg_is_in_recovery(), pg_last_xact_replay_timestamp(), timeline_id,
       current_setting('archive_mode'), current_setting('listen_addresses'),
       (select count(*) from pg_replication_slots),
       case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
            else pg_current_wal_lsn() end::text
from pg_control_checkpoint()
"""


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when the target was not reached, CannotRun when it was killed."""
    manifest = read_manifest(job.backup)
    began = time.monotonic()
    pid = start(job)
    report.fact(pid=pid)
    wait_until(job, pid, manifest.superuser, PROMOTED if job.to is None else PAUSED)
    recovered = time.monotonic() - began
    reached = _STOPPED.findall(log_of(job).read_text(encoding="utf-8", errors="replace"))
    if not report.check(
        "recovery target", bool(reached) and reached[-1][0] == manifest.point,
        wanted=manifest.point, found=reached[-1][0] if reached else "no target reached",
    ):  # fmt: skip
        raise CheckFailed("recovery ended, but not at the backup's named instant")
    look_at(job, manifest.superuser, pid, report, recovering=job.to is not None)
    report.fact(recovery_seconds=round(recovered, 3), target_time=reached[-1][1])


def look_at(job: Job, user: str, pid: int, report: Report, *, recovering: bool) -> None:
    """Check that the copy is in the state it is meant to be in, isolated and alive."""
    with copy_connection(job, "template1", user) as connection:
        row = one_row(connection, _ASK)
    report.check("in recovery", row[0] is recovering, wanted=recovering, found=row[0])
    report.check("archiving", row[3] == "off", wanted="off", found=row[3])
    network = row[4] or "sockets only"
    report.check("network", row[4] == "", wanted="sockets only", found=network)
    report.check("replication slots", row[5] == 0, wanted=0, found=row[5])
    living = alive(pid, job.data)
    report.check("still alive", living, wanted="yes", found="yes" if living else "no")
    report.fact(
        newest_commit=row[1].isoformat() if row[1] else None,
        timeline=row[2],
        lsn=row[6],
    )
