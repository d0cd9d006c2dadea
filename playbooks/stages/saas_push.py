"""Create a sample of a snapshot's records, with their parents, in another CRM."""

from __future__ import annotations

import time
from pathlib import Path

from playbooks.job import Job
from playbooks.report import Report
from playbooks.saas.pushing import IdMap, Push, choose, order
from playbooks.saas.snapshot import read_snapshot
from playbooks.saas.tables import DATABASE, USER
from playbooks.saas.talk import read_target, speaking
from playbooks.source import copy_connection


def run(job: Job, report: Report) -> None:
    """A record that is rejected is a failed check; a field that is, counts as lost."""
    snapshot, saas = read_snapshot(job.backup), job.settings.saas
    entities = order(snapshot, saas.left_out)
    with copy_connection(job, DATABASE, USER) as link:
        chosen = choose(link, snapshot, entities, job.asked["sample"], job.id)
    ids = IdMap(Path(job.asked["map"]))
    try:
        with speaking(read_target(job, "other")) as caller:
            push = Push(caller, ids, snapshot, entities)
            if not job.asked["keep"]:
                report.fact(removed_before=len(ids.all()), left_before=push.remove())
            began = time.monotonic()
            for entity in entities:
                for record in chosen[entity].values():
                    push.push(entity, record)
            seconds = time.monotonic() - began
    finally:
        ids.close()
    done, records = push.done, sum(map(len, chosen.values()))
    refused = sum(done.refused.values())
    wrong = [f"{number} {name}" for name, number in sorted(done.rejected.items())]
    report.check(
        "records were taken", not wrong, wanted=f"{records} records",
        found=f"{records - sum(done.rejected.values())} records", detail="; ".join(wrong[:5]),
    )  # fmt: skip
    rate = done.created / seconds if done.created and seconds else None
    total = sum(part.records for name, part in snapshot.entities.items() if name in entities)
    loading = job.facts("saas_load")["seconds"]
    report.fact(
        pushed=done.created + done.adopted, created=done.created, sample=records, total=total,
        seconds=round(seconds, 3), rate=round(rate, 2) if rate else None, calls=caller.calls,
        restore_seconds=round(loading + total / rate, 1) if rate else None,
        refused=refused, refused_ratio=refused / done.values if done.values else None,
        left_out=list(saas.left_out), lookups_left=done.left,
        remarks=[[f"{name} was refused", f"{number} values"]
                 for name, number in sorted(done.refused.items())],
    )  # fmt: skip
