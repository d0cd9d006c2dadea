"""From the backup's named instant, where the contents were compared, on to the wanted moment."""

from __future__ import annotations

import re
import time

from playbooks.catalogue import read_manifest
from playbooks.errors import CheckFailed
from playbooks.instance import PROMOTED, log_of, start, stop, wait_until
from playbooks.job import Job, parse_time
from playbooks.report import Report
from playbooks.stages.configure import write_settings
from playbooks.stages.recover import look_at

_STOPPED = re.compile(r"recovery stopping (?:before|after) (?:commit|abort) of transaction \d+")


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when the log does not reach beyond the moment."""
    if job.to is None:
        raise CheckFailed("no moment was named to recover to")
    manifest = read_manifest(job.backup)
    stop(job)
    log_of(job).rename(job.scratch / "instance-1.log")
    settings = {
        **job.facts("configure")["settings"],
        "recovery_target_name": "",
        "recovery_target_time": job.to.isoformat(),
        "recovery_target_action": "promote",
    }
    write_settings(job, settings)
    began = time.monotonic()
    pid = start(job)
    report.fact(pid=pid)
    wait_until(job, pid, manifest.superuser, PROMOTED)
    report.fact(recovery_seconds=round(time.monotonic() - began, 3), target=job.to.isoformat())
    look_at(job, manifest.superuser, pid, report, recovering=False)
    said = log_of(job).read_text(encoding="utf-8", errors="replace")
    stopped = _STOPPED.search(said)
    report.check(
        "recovery target", stopped is not None, wanted=f"up to {job.to.isoformat()}",
        found=stopped[0] if stopped else "not reached",
    )  # fmt: skip
    newest = report.facts["newest_commit"]
    report.check(
        "nothing later came back",
        newest is not None and parse_time(newest) <= job.to,
        wanted=f"at most {job.to.isoformat()}",
        found=newest,
    )
