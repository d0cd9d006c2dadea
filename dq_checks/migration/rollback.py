"""Rollback: a marker of the target before a batch is loaded, and proof that it was restored.

The marker digests every column of the whole target, not only what the plan maps and not only the
batch: a rollback that puts the batch back but harms its neighbours has not restored anything.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

from crmops.errors import CrmopsError, UsageError
from crmops.execute import Execution, executing
from crmops.record import Kind, Run, Unit, Verdict
from dq_checks.migration.compile import Compiled, target_field
from dq_checks.migration.digest import Digests, View, digest
from dq_checks.migration.plan import FieldSettings
from dq_checks.migration.run import Job, place
from dq_checks.migration.sides import Side, open_side

MARKER = "-marker"
CHECK = "-rollback"


def mark(job: Job, batch: str) -> Run:
    """Record what the target is like before a batch is loaded into it."""
    with _executing(job, batch, MARKER) as execution:
        found = _digest(execution, job, batch)
        if found is not None:
            execution.measure("rows.target", found.rows, Unit.COUNT, found.rows)
            execution.attach("marker.json", _document(job, batch, found))
            execution.conclude(Verdict.PASS, f"the target has {found.rows} rows; marked")
    return execution.run


def check_rollback(job: Job, batch: str) -> Run:
    """Compare the target with the newest marker of a batch.

    Passes if every row is as it was.  Unknown without a marker, and for an empty target unless
    a validation since the marker has seen rows in it: an empty answer alone proves nothing.
    """
    with _executing(job, batch, CHECK) as execution:
        marker = _marker(job, batch)
        if marker is None:
            execution.conclude(Verdict.UNKNOWN, f"batch {batch} has no marker")
        elif marker["plan_digest"] != job.loaded.digest and not _same_target(job, marker):
            execution.conclude(Verdict.UNKNOWN, "the marker is of another target")
        else:
            found = _digest(execution, job, batch)
            if found is not None:
                _conclude(execution, job, batch, marker, found)
    return execution.run


def _executing(job: Job, batch: str, what: str) -> AbstractContextManager[Execution]:
    return executing(
        job.history,
        Kind.DQ,
        job.target,
        job.subject(batch, what),
        config_digest=job.loaded.digest,
    )


def _digest(execution: Execution, job: Job, batch: str) -> Digests | None:
    """The digest of the whole target; None when it could not be made, which is then concluded."""
    try:
        with place(job) as here:
            side = open_side(job.plan.target, "target", batch, here)
            found = digest(whole(job, side), here.scratch, profiles=False)
            side.settle()
            return found
    except CrmopsError as error:
        if isinstance(error, UsageError):
            raise
        execution.finding("the target could not be read", error.hint, "critical", batch)
        execution.conclude(Verdict.ERROR, str(error))
        return None


def whole(job: Job, side: Side) -> View:
    """Every column of a side as text, ranges by the plan's key."""
    for at, each in enumerate(job.plan.key):
        if each.name not in side.columns:
            columns = [*side.columns]
            raise job.loaded.no_column(("key", at, "name"), side.label, each.name, columns)
    key = tuple(target_field(each, side.columns, side.dialect) for each in job.plan.key)
    return View(side, key, tuple(_as_text(name, side) for name in sorted(side.columns)))


def _as_text(name: str, side: Side) -> Compiled:
    return target_field(FieldSettings(name=name), side.columns, side.dialect)


def _document(job: Job, batch: str, found: Digests) -> str:
    return json.dumps(
        {
            "schema": 1,
            "plan": job.plan.name,
            "batch": batch,
            "plan_digest": job.loaded.digest,
            "target": _named(job),
            "rows": found.rows,
            "digest": found.whole,
            "ranges": {name: list(each) for name, each in sorted(found.ranges.items())},
        }
    )


def _named(job: Job) -> str:
    settings = job.plan.target
    return str(settings.file or settings.table or settings.query)


def _same_target(job: Job, marker: dict[str, Any]) -> bool:
    return bool(marker["target"] == _named(job))


def _marker(job: Job, batch: str) -> dict[str, Any] | None:
    """The newest marker of a batch, read from its evidence."""
    subject = job.subject(batch, MARKER)
    for run in job.history.find(Kind.DQ, job.target, subject, limit=20):
        for each in run.evidence:
            if run.verdict is Verdict.PASS and each.path.endswith("/marker.json"):
                text = job.history.files.path(each).read_text(encoding="utf-8")
                return {**json.loads(text), "run": run.id, "at": run.begun}
    return None


def _conclude(
    execution: Execution, job: Job, batch: str, marker: dict[str, Any], found: Digests
) -> None:
    before = {name: (each[0], each[1]) for name, each in marker["ranges"].items()}
    names = {*before, *found.ranges}
    bad = sum(before.get(each) != found.ranges.get(each) for each in names)
    compared = max(len(names), 1)
    execution.measure("rows.before", marker["rows"], Unit.COUNT, marker["rows"])
    execution.measure("rows.target", found.rows, Unit.COUNT, found.rows)
    execution.measure("ranges.different", bad, Unit.COUNT, compared)
    execution.attach("rollback.json", _document(job, batch, found))
    if marker["digest"] != found.whole:
        title = "the rollback did not restore the target"
        detail = f"{bad} of {len(names)} ranges differ from marker {marker['run']}"
        execution.finding(title, detail, "critical", batch)
        rows = f"{marker['rows']} rows before, {found.rows} now"
        execution.conclude(Verdict.FAIL, f"the target is not as it was: {rows}, {detail}")
    elif not found.rows and not _seen_since(job, batch, marker):
        reason = "the target is empty as before, but nothing shows that rows had been loaded"
        execution.conclude(Verdict.UNKNOWN, reason)
    else:
        reason = f"all {found.rows} rows are as marker {marker['run']} has them"
        execution.conclude(Verdict.PASS, reason)


def _seen_since(job: Job, batch: str, marker: dict[str, Any]) -> bool:
    """Whether a validation since the marker saw rows in the target."""
    runs = job.history.find(Kind.DQ, job.target, job.subject(batch), since=marker["at"])
    seen = (each.measure("rows.target") for each in runs)
    return any(each is not None and bool(each.value) for each in seen)
