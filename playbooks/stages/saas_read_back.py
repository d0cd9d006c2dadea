"""Read every created record back and compare it field by field; then remove what a drill made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from playbooks.job import Job
from playbooks.report import Report
from playbooks.saas.pushing import IdMap, Push, choose, order, records_of
from playbooks.saas.snapshot import read_snapshot
from playbooks.saas.tables import DATABASE, USER
from playbooks.saas.talk import read_target, speaking
from playbooks.saas.values import Unfit, normal
from playbooks.source import copy_connection


def run(job: Job, report: Report) -> None:
    """A field that differs is a failed check.  System fields are the other CRM's own."""
    snapshot = read_snapshot(job.backup)
    entities = order(snapshot, job.settings.saas.left_out)
    ids = IdMap(Path(job.asked["map"]))
    wrong: Counter[str] = Counter()
    fields = records = 0
    left: list[str] = []
    try:
        with (
            copy_connection(job, DATABASE, USER) as link,
            speaking(read_target(job, "other")) as caller,
        ):
            chosen = choose(link, snapshot, entities, job.asked["sample"], job.asked["seed"])
            push = Push(caller, ids, snapshot, entities)
            for entity in entities:
                for record in records_of(link, entity, chosen[entity]):
                    new = ids.new(entity, str(record["id"]))[1]
                    if new is None:
                        continue
                    compared, differing = _compare(push, entity, record, new)
                    records, fields = records + 1, fields + compared
                    wrong.update(f"{entity}.{name}" for name in differing)
            if not job.asked["keep"]:
                left = push.remove()
    finally:
        ids.close()
    if not job.asked["keep"] and not left:
        ids.path.unlink()
    report.check(
        "read back", not wrong, wanted=f"{fields} values alike",
        found=f"{sum(wrong.values())} differ",
        detail="; ".join(f"{name}: {number}" for name, number in wrong.most_common(5)),
    )  # fmt: skip
    report.fact(read=records, fields=fields, differing=sum(wrong.values()))
    if left:
        report.fact(remarks=[["records of the drill are left in the other CRM", "; ".join(left)]])


def _compare(push: Push, entity: str, record: dict[str, object], new: str) -> tuple[int, list[str]]:
    """How many fields were compared, and which differ."""
    caller = push.caller
    found = caller.ask(lambda: caller.connector.get(entity, new)).record
    refused = push.ids.refused(entity, str(record["id"]))
    kinds = {each.name: each.kind for each in push.shapes(entity)}
    wanted = {n: v for n, v in push.outgoing(entity, record).items() if n not in refused}
    differing = [n for n, v in wanted.items() if not _alike(v, found.get(n), kinds[n])]
    return len(wanted), differing


def _alike(wanted: object, found: object, kind: str) -> bool:
    try:
        return bool(normal(wanted, kind) == normal(found, kind))
    except Unfit:
        return False
