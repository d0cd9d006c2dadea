"""Does the copy contain what the source contained at the named instant?"""

from __future__ import annotations

import time

from playbooks.catalogue import read_manifest
from playbooks.job import Job
from playbooks.mariadb.digest import read_contents
from playbooks.mariadb.link import copy_link
from playbooks.mariadb.server import require_alive
from playbooks.report import Report
from playbooks.stages.compare import compare_contents


def run(job: Job, report: Report) -> None:
    """Every difference is a failed check."""
    manifest = read_manifest(job.backup)
    began = time.monotonic()
    with copy_link(job, None) as link:
        found = read_contents(link)
    require_alive(job)
    report.fact(
        seconds=round(time.monotonic() - began, 3), rows=found.rows, compared=0, differing=None
    )
    if manifest.contents is None:
        report.fact(skipped="the backup does not know what the database contained")
        return
    compare_contents(manifest.contents, found, report)
