"""Pulling a snapshot, proving it, and pushing it: what the commands and the keeper call."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crmops.execute import Execution
from crmops.record import Kind, Run, Unit, Verdict, utc_now
from crmops.target import Target
from crmops.verdict import Objective
from playbooks.chores import Chore, judge_chore
from playbooks.job import Job
from playbooks.postgres import find_binaries
from playbooks.retention import Kept, to_remove
from playbooks.run import Room, alone, executing_in, make_job, play_in, prepared
from playbooks.saas.pushing import check_other
from playbooks.saas.snapshot import choose, folder_of, read_snapshot, snapshots
from playbooks.saas.talk import login_of, write_target
from playbooks.settings import Settings

BACKUP_STAGES = ("saas_pull", "saas_seal", "tear_down")
DRILL_STAGES = ("saas_fetch", "saas_load", "saas_compare", "saas_push", "saas_read_back",
                 "tear_down")  # fmt: skip


def _backup_chore(room: Room) -> Chore:
    rows = float(room.settings.minimum_rows)
    return Chore(
        "snapshot", "saas_backup.yml", "saas", BACKUP_STAGES,
        (
            ("records", "saas_pull", "records", Unit.COUNT),
            ("entities", "saas_pull", "entities", Unit.COUNT),
            ("entities.differing", "saas_pull", "differing", Unit.COUNT),
            ("calls", "saas_pull", "calls", Unit.COUNT),
            ("duration", "saas_pull", "seconds", Unit.SECONDS),
            ("deleted", "saas_seal", "deleted", Unit.COUNT),
            ("size", "saas_seal", "bytes", Unit.BYTES),
        ),
        (
            Objective(measure="checks.failed", op="==", limit=0),
            Objective(measure="entities", op=">=", limit=1, unit=Unit.COUNT),
            Objective(measure="entities.differing", op="==", limit=0, unit=Unit.COUNT),
            Objective(measure="records", op=">=", limit=rows, unit=Unit.COUNT),
            Objective(measure="size", op=">", limit=0, unit=Unit.BYTES),
        ),
        kind=Kind.PULL,
    )  # fmt: skip


def _drill_chore(room: Room, subject: str) -> Chore:
    settings = room.settings
    return Chore(
        subject, "saas_restore_drill.yml", "saas", DRILL_STAGES,
        (
            ("records.loaded", "saas_load", "loaded", Unit.COUNT),
            ("entities.compared", "saas_compare", "compared", Unit.COUNT),
            ("entities.differing", "saas_compare", "differing", Unit.COUNT),
            ("lookups.compared", "saas_compare", "lookups", Unit.COUNT),
            ("records.pushed", "saas_push", "pushed", Unit.COUNT),
            ("values.refused", "saas_push", "refused_ratio", Unit.RATIO),
            ("calls", "saas_push", "calls", Unit.COUNT),
            ("restore.expected", "saas_push", "restore_seconds", Unit.SECONDS),
            ("fields.compared", "saas_read_back", "fields", Unit.COUNT),
            ("fields.differing", "saas_read_back", "differing", Unit.COUNT),
        ),
        (
            Objective(measure="checks.failed", op="==", limit=0),
            Objective(measure="entities.compared", op=">=", limit=1, unit=Unit.COUNT),
            Objective(measure="entities.differing", op="==", limit=0, unit=Unit.COUNT),
            Objective(measure="records.pushed", op=">=", limit=1, unit=Unit.COUNT),
            Objective(measure="fields.compared", op=">=", limit=1, unit=Unit.COUNT),
            Objective(measure="fields.differing", op="==", limit=0, unit=Unit.COUNT),
            Objective(measure="values.refused", op="<=", limit=settings.saas.refused_ratio,
                      unit=Unit.RATIO),
            *(_time_objectives(settings) if subject == "saas" else ()),
        ),
        kind=Kind.DRILL,
    )  # fmt: skip


def _time_objectives(settings: Settings) -> tuple[Objective, ...]:
    """A drill must be fast and fresh; who pushes a snapshot has chosen it."""
    rto, rpo = settings.rto_objective, settings.rpo_objective
    return (
        Objective(measure="restore.expected", op="<=", limit=rto, unit=Unit.SECONDS),
        Objective(measure="rpo", op="<=", limit=rpo, unit=Unit.SECONDS),
    )


def pull(room: Room) -> Run:
    """Pull every record of the target's CRM, compare the counts and seal the snapshot.

    A pull that was killed less than a day ago goes on where it was.
    """
    login_of(room.target)
    with alone(room), executing_in(room, Kind.PULL, "snapshot") as execution:
        folder = folder_of(room.catalogue)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        job = _job(room, execution, folder / execution.id, {})
        _play(room, execution, _backup_chore(room), job, {"crm": room.target})
        if execution.run.verdict is Verdict.PASS:
            _thin_out(room, execution, folder)
    return execution.run


def drill(room: Room, other: Target, snapshot: str = "latest") -> Run:
    """Load a snapshot, compare it, push a sample into another CRM, read it back and remove it.

    Raises ConfigError, before anything is touched, for another CRM that may not be written to.
    """
    return _restore(room, other, snapshot, "saas", {"sample": room.settings.saas.sample})


def push(room: Room, other: Target, snapshot: str = "latest", sample: int = 0) -> Run:
    """Push a snapshot into another CRM and keep it there; 0 pushes every record.

    Done again it goes on where it was: what was created is not created twice.
    """
    return _restore(room, other, snapshot, "push", {"sample": sample, "keep": True})


def _restore(
    room: Room, other: Target, snapshot: str, subject: str, asked: Mapping[str, Any]
) -> Run:
    check_other(room.target, other)
    login_of(other)
    with alone(room), executing_in(room, Kind.DRILL, subject) as execution:
        place = choose(folder_of(room.catalogue), snapshot)
        taken = read_snapshot(place).begun
        name = f"{other.name}.{place.name if asked.get('keep') else 'drill'}.sqlite"
        path = room.state.absolute() / "saas" / name
        seed = place.name if asked.get("keep") else execution.id  # a push goes on with the same
        asked = {"keep": False, "seed": seed, **asked, "map": str(path)}
        job = _job(room, execution, place, asked)
        lost = max((utc_now() - taken).total_seconds(), 0.0)
        execution.measure("rpo", lost, Unit.SECONDS, 1)
        _play(room, execution, _drill_chore(room, subject), job, {"other": other})
    return execution.run


def _job(room: Room, execution: Execution, place: Path, asked: Mapping[str, Any]) -> Job:
    """A job with PostgreSQL's programs, whatever the CRM's own database is."""
    job = make_job(room, execution, place)
    changes = {"asked": dict(asked), "provider": "postgresql", "binaries": find_binaries("")}
    return job.model_copy(update=changes)


def _play(
    room: Room, execution: Execution, chore: Chore, job: Job, targets: Mapping[str, Target]
) -> None:
    with prepared(job) as ready:
        for name, target in targets.items():
            write_target(ready, name, target)
        finished = play_in(room, execution, ready, chore.playbook, chore.role)
        judge_chore(room, execution, chore, finished)


def _thin_out(room: Room, execution: Execution, folder: Path) -> None:
    """Old snapshots go by the same rule as backups; the newest good one always stays."""
    settings, known = room.settings, []
    for each in snapshots(folder):
        manifest = read_snapshot(folder / each)
        known.append(Kept(each, manifest.ended, manifest.records >= settings.minimum_rows))
    for each in to_remove(known, settings.keep, settings.keep_weekly, settings.keep_monthly):
        (folder / each / "crmops-snapshot.json").unlink()
        shutil.rmtree(folder / each)
        execution.finding("an old snapshot was removed", each, severity="info")
