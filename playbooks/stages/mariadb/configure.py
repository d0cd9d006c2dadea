"""Give the copy options of its own: nothing of the source's may act in the drill."""

from __future__ import annotations

from playbooks.catalogue import read_manifest
from playbooks.job import Job
from playbooks.mariadb.server import write_options
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """No network, no binary log, no replication, no events; what the files need stays."""
    settings = read_manifest(job.backup).settings
    write_options(job, settings)
    report.fact(settings=settings)
