"""Remove the backups of the plan, noting each in the journal before."""

from __future__ import annotations

from playbooks.catalogue import Catalogue
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.prune import finish_removals, plan_retention, remove_backups
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed, and removes nothing, when the plan has changed since it was looked at."""
    catalogue = Catalogue(job.backup.parent.parent, job.target)
    plan = plan_retention(catalogue, job.settings)
    if plan.digest != job.facts("retention_plan")["plan"]:
        raise CheckFailed("the plan has changed since it was looked at: nothing was removed")
    left = finish_removals(catalogue, job.id)
    going = [each.backup for each in plan.going]
    remove_backups(catalogue, going, job.id, plan.rule)
    kept = plan_retention(catalogue, job.settings).lines
    report.fact(removed=len(going), kept=len(kept), good=sum(each.good for each in kept))
    report.fact(freed=sum(each.bytes for each in plan.going), finished=left)
