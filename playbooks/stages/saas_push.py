"""Create a sample of a snapshot's records, with their parents, in another CRM."""

from __future__ import annotations

import time
from pathlib import Path

from playbooks.job import Job
from playbooks.report import Report
from playbooks.saas.pushing import IdMap, Push, choose, order, records_of
from playbooks.saas.snapshot import read_snapshot
from playbooks.saas.tables import DATABASE, USER
from playbooks.saas.talk import read_target, speaking
from playbooks.source import copy_connection


def run(job: Job, report: Report) -> None:
    """A record that is rejected is a failed check; a field that is, counts as lost."""
    snapshot, saas = read_snapshot(job.backup), job.settings.saas
    entities = order(snapshot, saas.left_out)
    records = 0
    ids = IdMap(Path(job.asked["map"]))
    try:
        with (
            copy_connection(job, DATABASE, USER) as link,
            speaking(read_target(job, "other")) as caller,
        ):
            chosen = choose(link, snapshot, entities, job.asked["sample"], job.asked["seed"])
            push = Push(caller, ids, snapshot, entities)
            if not job.asked["keep"]:
                report.fact(removed_before=len(ids.all()), left_before=push.remove())
            began = time.monotonic()
            for entity in entities:
                for record in records_of(link, entity, chosen[entity]):
                    push.push(entity, record)
                    records += 1
            seconds = time.monotonic() - began
    finally:
        ids.close()
    _report(job, report, push, records, seconds)


def _report(job: Job, report: Report, push: Push, records: int, seconds: float) -> None:
    done, rejected = push.done, sum(push.done.rejected.values())
    wrong = [f"{number} {name}" for name, number in sorted(done.rejected.items())]
    report.check(
        "records were taken", not wrong, wanted=f"{records} records",
        found=f"{records - rejected} records", detail="; ".join(wrong[:5]),
    )  # fmt: skip
    refused = sum(done.refused.values())
    rate = done.created / seconds if done.created and seconds else None
    total = sum(push.snapshot.entities[name].records for name in push.entities)
    loading = job.facts("saas_load")["seconds"]
    report.fact(
        pushed=done.created + done.adopted, created=done.created, sample=records, total=total,
        seconds=round(seconds, 3), rate=round(rate, 2) if rate else None,
        restore_seconds=round(loading + total / rate, 1) if rate else None,
        calls=push.caller.calls, refused=refused,
        refused_ratio=refused / done.values if done.values else None,
        left_out=list(job.settings.saas.left_out), lookups_left=done.left,
        remarks=[[f"{name} was refused", f"{number} values"]
                 for name, number in sorted(done.refused.items())],
    )  # fmt: skip
