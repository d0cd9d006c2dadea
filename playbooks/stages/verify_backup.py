"""Is the fetched copy, byte for byte, what was backed up?"""

from __future__ import annotations

from playbooks.catalogue import read_manifest
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.postgres import control_data, tool_version
from playbooks.providers import provider_of
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed at the first thing that differs: a damaged copy is not started."""
    manifest = read_manifest(job.backup)
    provider_of(job).verify(job, manifest, report)
    control = control_data(job, job.data)
    found = control["Database system identifier"]
    if not report.check(
        "system identifier", found == manifest.system_identifier,
        wanted=manifest.system_identifier, found=found,
    ):  # fmt: skip
        raise CheckFailed("the backup is of another system than its manifest says")
    major, version = tool_version(job)
    if not report.check(
        "PostgreSQL's version", major == manifest.major, wanted=manifest.major, found=version
    ):
        raise CheckFailed(f"PostgreSQL {manifest.major} is needed to restore, this is {version}")
    report.fact(files=len(manifest.files), tools=version, system_identifier=found)
