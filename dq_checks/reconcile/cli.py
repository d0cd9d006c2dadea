"""``crmops dq reconcile``: the CRM against another system."""

from __future__ import annotations

from crmops.cli_support import JsonFlag, TargetOption, context, progress
from dq_checks.migration.cli import PlanFile, address_of, show, target_name

SHOWN = (
    "rows.crm", "rows.other", "rows.agreeing", "rows.lost", "rows.extra", "rows.late",
    "rows.different", "rows.in_flight",
)  # fmt: skip


def reconcile(plan: PlanFile, target: TargetOption = "", as_json: JsonFlag = False) -> None:
    """Hold the CRM against ERP, finance or ticketing: lost, extra, late, different, in flight."""
    from dq_checks.migration.plan import read_plan
    from dq_checks.reconcile.plan import ReconcilePlan
    from dq_checks.reconcile.run import GUIDE, Task
    from dq_checks.reconcile.run import reconcile as run

    loaded = read_plan(plan, ReconcilePlan, GUIDE)
    with progress() as display:
        display.add_task("reconcile", total=None)
        done = run(Task(loaded, target_name(target), context().history, address_of))
    show([done], as_json=as_json, columns=SHOWN)
