"""A reconciliation, start to end: plan, match, measures, worklist, verdict, record."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from crmops.errors import CrmopsError, UsageError
from crmops.execute import Execution, executing
from crmops.history import History
from crmops.record import Kind, Run, Unit, Verdict, utc_now
from crmops.verdict import Objective, judge
from dq_checks.migration.evidence import sheet
from dq_checks.migration.plan import Loaded
from dq_checks.migration.scratch import scratch
from dq_checks.migration.sides import Place
from dq_checks.reconcile.match import Matched, match
from dq_checks.reconcile.plan import Counted, ReconcilePlan

GUIDE = "docs/reconcile.md"
COUNTED: tuple[Counted, ...] = get_args(Counted)
_WORDS = {
    "lost": "{crm} has it, {other} does not",
    "extra": "{other} has it, {crm} does not",
    "late": "it should have arrived or agreed by now; look again",
    "different": "both have it and do not agree",
    "in flight": "changed a moment ago; wait",
    "duplicated": "its key occurs more than once in a system",
}


@dataclass(frozen=True)
class Task:
    """What a reconciliation needs; ``address_of`` gives the address of a target's database."""

    loaded: Loaded[ReconcilePlan]
    target: str
    history: History
    address_of: Callable[[str], str]
    now: datetime | None = None


def reconcile(task: Task) -> Run:
    """Reconcile and record it, also when it could not be done.

    Raises ConfigError for a plan whose columns are not there; that is recorded as well.
    """
    import duckdb

    plan = task.loaded.plan
    with executing(
        task.history,
        Kind.DQ,
        task.target,
        f"reconcile:{plan.name}",
        config_digest=task.loaded.digest,
        tool_versions={"duckdb": duckdb.__version__},
    ) as execution:
        try:
            with scratch() as made, ExitStack() as closing:
                directory, limit = task.loaded.directory, plan.statement_timeout
                here = Place(made, directory, task.address_of, limit, closing)
                found = match(task.loaded, here, task.now or utc_now())
        except CrmopsError as error:
            if isinstance(error, UsageError):
                raise
            execution.finding("the systems could not be compared", error.hint, "critical")
            execution.conclude(Verdict.ERROR, str(error))
        else:
            _conclude(execution, plan, found)
    return execution.run


def _conclude(execution: Execution, plan: ReconcilePlan, found: Matched) -> None:
    _measure(execution, found)
    _report(execution, plan, found)
    execution.attach("reconcile.json", _document(plan, found))
    if found.items:
        execution.attach("worklist.csv", worklist(plan, found))
    empty = [
        label(plan, each) for each, rows in (("crm", found.crm), ("other", found.other)) if not rows
    ]
    if len(empty) == 2:
        execution.conclude(Verdict.UNKNOWN, "both systems are empty")
        return
    objectives = [
        Objective(
            measure=each,
            op="<=",
            limit=plan.limits.get(each, 0),
            unit=Unit.COUNT,
            minimum_samples=plan.minimum_rows,
        )
        for each in COUNTED
    ]
    judgement = judge(execution.run.measures, objectives)
    if judgement.verdict is Verdict.PASS:
        reason = f"{found.agreeing} of {found.settled} settled records agree"
        execution.conclude(Verdict.PASS, reason)
    else:
        prefix = f"{empty[0]} is empty; " if empty else ""
        execution.conclude(judgement.verdict, prefix + judgement.reason)


def label(plan: ReconcilePlan, side: str) -> str:
    """What people call a system."""
    return plan.crm.name or "CRM" if side == "crm" else plan.other.name or "the other system"


def _measure(execution: Execution, found: Matched) -> None:
    counts, settled = found.counts, found.settled
    for name, value, observed in (
        ("rows.crm", found.crm, found.crm),
        ("rows.other", found.other, found.other),
        ("rows.agreeing", found.agreeing, settled),
        ("rows.lost", counts["lost"], settled),
        ("rows.extra", counts["extra"], settled),
        ("rows.late", counts["late"], settled),
        ("rows.different", counts["different"], settled),
        ("rows.in_flight", counts["in flight"], settled + counts["in flight"]),
        ("rows.keyless", counts["keyless"], found.crm + found.other),
        ("keys.duplicated", counts["duplicated"], settled),
        ("values.unmapped", sum(found.unmapped.values()), found.crm),
    ):
        execution.measure(name, value, Unit.COUNT, observed)


def _report(execution: Execution, plan: ReconcilePlan, found: Matched) -> None:
    said = {"crm": label(plan, "crm"), "other": label(plan, "other")}
    for kind, words in _WORDS.items():
        if found.counts[kind]:
            severity = (
                "info" if kind == "in flight" else "critical" if kind == "lost" else "warning"
            )
            execution.finding(f"{kind}: {found.counts[kind]}", words.format(**said), severity)
    for name, times in found.fields.items():
        if times:
            execution.finding(f"{name} does not agree", f"in {times} records", "warning")
    for name, times in found.unmapped.items():
        if times:
            title = f"{name} has values that its map lacks"
            execution.finding(title, f"{times} times in {said['crm']}")
    for name, times in found.unreadable.items():
        if times:
            execution.finding(f"{name} has values that are no amounts", f"{times} times")
    if found.counts["keyless"]:
        title = "records without a key cannot be matched"
        execution.finding(title, f"{found.counts['keyless']} records")


def worklist(plan: ReconcilePlan, found: Matched) -> str:
    """worklist.csv: class, key, owner in the CRM, what does not agree, what to do."""
    said = {"crm": label(plan, "crm"), "other": label(plan, "other")}
    rows: list[list[object]] = [
        ["class", *(each.name for each in plan.key), "owner", "fields", "what"]
    ]
    rows += [
        [each.kind, *each.key, each.owner, " ".join(each.fields), _WORDS[each.kind].format(**said)]
        for each in found.items
    ]
    return sheet(rows)


def _document(plan: ReconcilePlan, found: Matched) -> str:
    listed = sum(number for kind, number in found.counts.items() if kind != "keyless")
    return json.dumps(
        {
            "schema": 1,
            "plan": plan.name,
            "rows": {"crm": found.crm, "other": found.other},
            "agreeing": found.agreeing,
            "settled": found.settled,
            "classes": dict(found.counts),
            "fields": dict(found.fields),
            "values_unmapped": dict(found.unmapped),
            "values_unreadable": dict(found.unreadable),
            "list_shortened": listed > len(found.items),
        },
        ensure_ascii=False,
        indent=1,
    )
