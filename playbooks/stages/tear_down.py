"""End whatever runs in the scratch directory and empty it; the marker goes last."""

from __future__ import annotations

import shutil

from playbooks.instance import stop
from playbooks.job import MARKER, Job
from playbooks.report import Report
from playbooks.standby import standby_of


def run(job: Job, report: Report) -> None:
    """Stops the scratch instance by its pid and removes every copy of people's data."""
    standby = standby_of(job)
    stopped = stop(job)
    stop(standby)
    empty(job)
    ended = not (stop(job) or stop(standby))
    found = "ended" if ended else "still running"
    report.check("scratch instance", ended, wanted="ended", found=found)
    report.fact(stopped=stopped)


def empty(job: Job) -> None:
    """Remove all from the scratch directory but its mark."""
    for each in job.scratch.iterdir():
        if each.name == MARKER:
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
