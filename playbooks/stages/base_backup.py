"""Copy the running database, the way the target's provider does."""

from __future__ import annotations

from playbooks.attachments import keep_files
from playbooks.job import Job
from playbooks.providers import provider_of
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """Raises CannotRun when the provider fails; nothing of the copy stays then."""
    provider = provider_of(job)
    stored = provider.backup(job, report)
    report.fact(
        provider=provider.name,
        label=stored.label,
        system_identifier=stored.system,
        parents=list(stored.parents),
    )
    if (kept := keep_files(job)) is not None:
        report.fact(attachments=kept.model_dump(mode="json"))
