"""Sign-off: a person puts a name under a batch that passed."""

from __future__ import annotations

import json

from crmops.errors import UnknownEvidence, UsageError
from crmops.execute import executing
from crmops.record import Kind, Run, Unit, Verdict, utc_now
from dq_checks.migration.run import Job

SIGNED = "-sign-off"


def sign_off(job: Job, batch: str, who: str, note: str) -> Run:
    """Record who takes a batch as done, when, and on which Run that rests.

    Raises UsageError for a name or note that is blank, and UnknownEvidence unless the newest
    validation of the batch, by this very plan, passed.
    """
    for option, text in (("--by", who), ("--note", note)):
        if not text.strip():
            raise UsageError(f"{option} is blank", hint="Say who signs, and a word about why.")
    newest = job.history.latest(Kind.DQ, job.target, job.subject(batch))
    if newest is None:
        raise UnknownEvidence(f"batch {batch} was never validated", hint="Validate it first.")
    if newest.verdict is not Verdict.PASS:
        raise UnknownEvidence(
            f"the newest validation of batch {batch} is {newest.verdict}: {newest.reason}",
            hint="Mend it, or raise `limits` in the plan where a difference is accepted; "
            "then validate again.",
        )
    if newest.config_digest != job.loaded.digest:
        raise UnknownEvidence(
            f"the plan changed since batch {batch} was validated", hint="Validate it again."
        )
    return _record(job, batch, newest, who.strip(), note.strip())


def _record(job: Job, batch: str, newest: Run, who: str, note: str) -> Run:
    with executing(
        job.history,
        Kind.DQ,
        job.target,
        job.subject(batch, SIGNED),
        config_digest=job.loaded.digest,
    ) as execution:
        rows = newest.measure("rows.target")
        if rows is not None:
            execution.measure("rows.target", rows.value, Unit.COUNT, rows.observed)
        document = {
            "schema": 1,
            "plan": job.plan.name,
            "batch": batch,
            "signed_by": who,
            "signed_at": utc_now().isoformat(),
            "note": note,
            "run": newest.id,
            "evidence": [each.model_dump() for each in newest.evidence],
        }
        execution.attach("sign-off.json", json.dumps(document, ensure_ascii=False, indent=1))
        execution.conclude(Verdict.PASS, f"signed off by {who}: {note} (run {newest.id})")
    return execution.run
