"""Pull every record of a CRM through its API; what is here stays if the pull breaks off."""

from __future__ import annotations

import json
import time
from datetime import datetime

from playbooks.errors import CheckFailed
from playbooks.job import Job, write_atomically
from playbooks.report import Report
from playbooks.saas.pulling import (
    OVERLAP,
    PULLING,
    begin,
    describe,
    pull_entity,
    settle_all,
    take_deletions,
)
from playbooks.saas.snapshot import read_snapshot, snapshots
from playbooks.saas.store import Store
from playbooks.saas.talk import read_target, speaking


def run(job: Job, report: Report) -> None:
    """An entity of which the API counts another number than came is a failed check."""
    began = time.monotonic()
    target, entities = read_target(job, "crm"), job.settings.saas.entities
    place = job.backup.parent / PULLING
    begun, goes_on = begin(place, target, entities)
    store = Store(place / "work.sqlite")
    try:
        with speaking(target) as caller:
            shapes = describe(caller, entities)
            came = sum(pull_entity(caller, store, each) for each in entities)
            before = _snapshot_before(job)
            if before is not None:
                for each in entities:
                    take_deletions(caller, store, each, before - OVERLAP)
            counted, lookups = settle_all(caller, store, shapes, begun - OVERLAP)
            report.fact(calls=caller.calls)
        here = {each: store.count(each) for each in entities}
    finally:
        store.close()
    wrong = [f"{e}: {here[e]} came, the API counts {counted[e]}" for e in entities
             if here[e] != counted[e]]  # fmt: skip
    report.check(
        "counts", not wrong, wanted="as the API counts", found=f"{len(wrong)} differ",
        detail="; ".join(wrong),
    )  # fmt: skip
    text = {name: [each.model_dump() for each in fields] for name, fields in shapes.items()}
    write_atomically(place / "shapes.json", json.dumps(text))
    report.fact(
        begun=begun.isoformat(), went_on=goes_on, came=came, counted=counted, dangling=lookups.lost,
        records=sum(here.values()), entities=len(entities), differing=len(wrong),
        seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip


def _snapshot_before(job: Job) -> datetime | None:
    """When the newest snapshot was begun; None without one that reads."""
    folder = job.backup.parent
    for each in snapshots(folder):
        try:
            return read_snapshot(folder / each).begun
        except CheckFailed:
            continue
    return None
