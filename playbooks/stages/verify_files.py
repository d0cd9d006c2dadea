"""Are the files those that were copied?"""

from __future__ import annotations

from playbooks.attachments import check_files
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.providers import provider_of
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when the provider finds a damaged file, or another system's."""
    provider_of(job).inspect(job, report)
    if job.files:
        check_files(job, report)
    wanted, found = job.facts("source_check")["system_identifier"], report.facts
    if found["system_identifier"] != wanted:
        raise CheckFailed("the copy is of another system than the source")
