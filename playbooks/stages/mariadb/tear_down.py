"""End whatever runs in the scratch directory and empty it; the marker goes last."""

from __future__ import annotations

from playbooks.job import Job
from playbooks.mariadb.server import pid_of, stop
from playbooks.report import Report
from playbooks.stages.tear_down import empty


def run(job: Job, report: Report) -> None:
    """Stops the scratch instance by its pid and removes every copy of people's data."""
    stopped = stop(job)
    ended = pid_of(job) is None
    empty(job)
    found = "ended" if ended else "still running"
    report.check("scratch instance", ended, wanted="ended", found=found)
    report.fact(stopped=stopped)
