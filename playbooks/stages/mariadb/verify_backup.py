"""Is the fetched copy, byte for byte, what was backed up?"""

from __future__ import annotations

from playbooks.catalogue import read_manifest
from playbooks.job import Job
from playbooks.providers import provider_of
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed at the first thing that differs: a damaged copy is not started."""
    manifest = read_manifest(job.backup)
    provider_of(job).verify(job, manifest, report)
    report.fact(files=len(manifest.files), system_identifier=manifest.system_identifier)
