"""Which backups would go?  Nothing is touched."""

from __future__ import annotations

from playbooks.catalogue import Catalogue
from playbooks.job import Job
from playbooks.prune import plan_retention
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """The plan must be the one that a person has looked at, where one was named."""
    plan = plan_retention(Catalogue(job.backup.parent.parent, job.target), job.settings)
    report.fact(plan=plan.digest, rule=plan.rule, going=[each.backup for each in plan.going])
    report.fact(staying=[each.backup for each in plan.lines if not each.goes])
    wanted = str(job.asked.get("plan", plan.digest))
    report.check(
        "plan", plan.digest == wanted, wanted=wanted, found=plan.digest,
        detail="" if plan.digest == wanted else
        f"the plan is {plan.digest} now, not {wanted}: look at it again",
    )  # fmt: skip
