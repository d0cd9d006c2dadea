"""What is done with backups between taking and restoring one: verify, copy elsewhere, remove.

Each is a playbook of a few stages, recorded as a Run with signed evidence like a backup or a drill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crmops.errors import ConfigError
from crmops.execute import Execution
from crmops.record import Kind, Measure, Run, Unit
from crmops.verdict import Judgement, Objective, judge
from playbooks.evidence import write_evidence
from playbooks.job import Job, Outcome
from playbooks.judge import Finished, hindrance_of
from playbooks.run import Room, alone, executing_in, make_job, play_in, prepared
from playbooks.settings import Settings


@dataclass(frozen=True, slots=True)
class Chore:
    """A playbook, its stages, and where its numbers come from.

    ``numbers`` are (measure, stage, fact, unit); ``objectives`` say what must hold of them.
    """

    subject: str
    playbook: str
    role: str
    stages: tuple[str, ...]
    numbers: tuple[tuple[str, str, str, Unit], ...]
    objectives: tuple[Objective, ...]
    kind: Kind = Kind.BACKUP
    asked: Mapping[str, Any] = field(default_factory=dict)


_FILES = (
    Objective(measure="checks.failed", op="==", limit=0),
    Objective(measure="files", op=">=", limit=1, unit=Unit.COUNT),
    Objective(measure="files.differing", op="==", limit=0, unit=Unit.COUNT),
)

VERIFY = Chore(
    "verify", "verify_backup.yml", "backup_store", ("check_stored", "tear_down"),
    (
        ("files", "check_stored", "files", Unit.COUNT),
        ("files.differing", "check_stored", "differing", Unit.COUNT),
        ("files.opened", "check_stored", "opened", Unit.COUNT),
        ("size", "check_stored", "bytes", Unit.BYTES),
    ),
    _FILES,
)  # fmt: skip

OFFSITE = Chore(
    "offsite", "offsite_copy.yml", "backup_store",
    ("offsite_copy", "offsite_check", "tear_down"),
    (
        ("files", "offsite_check", "files", Unit.COUNT),
        ("files.differing", "offsite_check", "differing", Unit.COUNT),
        ("files.continued", "offsite_copy", "continued", Unit.COUNT),
        ("size", "offsite_check", "bytes", Unit.BYTES),
        ("copied", "offsite_copy", "copied_bytes", Unit.BYTES),
    ),
    _FILES,
)  # fmt: skip

RETENTION = Chore(
    "retention", "retention.yml", "backup_store",
    ("retention_plan", "retention_apply", "tear_down"),
    (
        ("backups.removed", "retention_apply", "removed", Unit.COUNT),
        ("backups.kept", "retention_apply", "kept", Unit.COUNT),
        ("backups.good", "retention_apply", "good", Unit.COUNT),
        ("freed", "retention_apply", "freed", Unit.BYTES),
    ),
    (
        Objective(measure="checks.failed", op="==", limit=0),
        Objective(measure="backups.good", op=">=", limit=1, unit=Unit.COUNT),
    ),
)  # fmt: skip


def verify(room: Room, backup: str = "latest") -> Run:
    """Look at a stored backup where it lies: signature, seal and every file.  Restores nothing."""
    return _with_backup(room, VERIFY, backup)


def copy_offsite(room: Room, backup: str = "latest") -> Run:
    """Bring a backup to the second place, read it again there and compare it with its manifest.

    Raises ConfigError when no second place is configured.
    """
    if room.settings.backup.offsite is None:
        raise ConfigError(
            "no second place is configured",
            hint="Set drills.backup.offsite to a directory or mount of another host or disk.",
        )
    return _with_backup(room, OFFSITE, backup)


def apply_retention(room: Room, plan: str) -> Run:
    """Remove what a dry run has shown, if it would still show the same."""
    with alone(room), executing_in(room, Kind.BACKUP, RETENTION.subject) as execution:
        place = room.catalogue.place(execution.id)  # nothing lies there: it names the catalogue
        job = make_job(room, execution, place).model_copy(update={"asked": {"plan": plan}})
        do(room, execution, RETENTION, job)
    return execution.run


def at_offsite(room: Room) -> Room:
    """The room whose backups are the second copies.  Raises ConfigError when there are none."""
    if room.settings.backup.offsite is None:
        raise ConfigError(
            "no second place is configured", hint="Set drills.backup.offsite, or leave --from away."
        )
    return replace(room, offsite=True)


def _with_backup(room: Room, chore: Chore, backup: str) -> Run:
    with alone(room), executing_in(room, chore.kind, chore.subject) as execution:
        chosen = room.catalogue.choose(backup)
        do(room, execution, chore, make_job(room, execution, room.catalogue.place(chosen)))
    return execution.run


def do(room: Room, execution: Execution, chore: Chore, job: Job) -> None:
    """Play the chore's playbook on a job, and judge it."""
    with prepared(job) as ready:
        finished = play_in(room, execution, ready, chore.playbook, chore.role)
        judge_chore(room, execution, chore, finished)


def judge_chore(room: Room, execution: Execution, chore: Chore, finished: Finished) -> None:
    """The verdict and the evidence of a chore."""
    execution.measures(*_measures(chore, finished))
    judgement = _judgement(execution, chore, room.settings, finished)
    execution.conclude_by(judgement)
    write_evidence(
        execution, finished, judgement,
        settings=room.settings, history=room.history, key=room.signing_key,
    )  # fmt: skip


def _judgement(
    execution: Execution, chore: Chore, settings: Settings, finished: Finished
) -> Judgement:
    judgement = judge(execution.run.measures, chore.objectives)
    hindrance = hindrance_of(chore.stages, settings, finished)
    if hindrance is not None:
        execution.finding(*hindrance, severity="critical", subject=chore.subject)
        return judgement.model_copy(update={"verdict": "error", "reason": hindrance[0]})
    failed = next((e for e in finished.stages if e.outcome is Outcome.FAIL), None)
    if failed is not None:
        execution.finding(f"stage {failed.name} failed", failed.reason, "critical")
        return judgement.model_copy(update={"reason": failed.reason})
    for title, detail in _remarks(finished):
        execution.finding(title, detail)
    return judgement


def _remarks(finished: Finished) -> list[tuple[str, str]]:
    """What a person should know although nothing failed."""
    found = [tuple(each) for stage in finished.stages for each in stage.facts.get("remarks", ())]
    if finished.facts("offsite_copy").get("same_disk"):
        found.append(("the second place lies on the same disk", "One failure may take both."))
    return found


def _measures(chore: Chore, finished: Finished) -> list[Measure]:
    checks = [check for stage in finished.stages for check in stage.checks]
    failed = sum(not each.passed for each in checks)
    failed += sum(
        stage.outcome is Outcome.FAIL and all(check.passed for check in stage.checks)
        for stage in finished.stages
    )
    numbers = [(name, finished.facts(stage).get(fact), unit)
               for name, stage, fact, unit in chore.numbers]  # fmt: skip
    return [
        *(Measure(name=name, value=value, unit=unit, observed=int(value is not None))
          for name, value, unit in numbers),
        Measure(name="checks.failed", value=failed, unit=Unit.COUNT,
                observed=max(len(checks), failed)),
    ]  # fmt: skip
