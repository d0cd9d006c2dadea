"""The negative control of the drill: on damaged copies it must fail, on a whole one pass.

Each copy is made, damaged, put through every stage of the drill in this process, and removed.
The backup and the archive themselves are only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from crmops.record import Kind, Run, Unit, Verdict
from crmops.verdict import Objective, judge
from playbooks.catalogue import read_manifest
from playbooks.faults import CATALOGUE, Fault, Mutant, unlocked, with_key
from playbooks.job import Job, Outcome, Stage, canonical
from playbooks.judge import Finished, judgement_of, stages_of
from playbooks.leftovers import end_processes
from playbooks.providers import need_files
from playbooks.run import Room, alone, executing_in, make_job, prepared
from playbooks.runner import Ending, play_apart
from playbooks.settings import Audits, Settings
from playbooks.source import copy_connection
from playbooks.stages.fetch import wanted_segments
from playbooks.step import run_stage
from playbooks.tree import copy_tree

CONTROL = Fault("nothing (control)", "", "all ", Verdict.PASS)


class Result(BaseModel):
    """What the drill said of one fault, and whether that was right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: str
    wanted: str
    verdict: Verdict
    noticed_by: str
    reason: str
    right: bool


def mutate(
    room: Room, backup: str = "latest", faults: Sequence[Fault] = CATALOGUE
) -> tuple[Run, list[Result]]:
    """Put the drill to the test on every fault and on the undamaged control."""
    with alone(room), executing_in(room, Kind.DRILL, "mutate") as execution:
        chosen = room.catalogue.place(room.catalogue.choose(backup))
        need_files(read_manifest(chosen), "drill mutate")
        job = make_job(room, execution, chosen)
        results = []
        with prepared(job) as ready:
            for fault in (CONTROL, *faults):
                execution.beat()
                results.append(_try(ready, fault, room.settings))
                said = results[-1]
                room.say(f"{'right' if said.right else 'WRONG':5} {fault.name}: {said.reason}")
        control, caught = results[0].right, sum(each.right for each in results[1:])
        execution.measure("control.passed", float(control), Unit.COUNT, 1)
        execution.measure("faults.tried", float(len(faults)), Unit.COUNT, len(faults))
        execution.measure("faults.missed", float(len(faults) - caught), Unit.COUNT, len(faults))
        for each in results:
            if not each.right:
                execution.finding(f"not noticed: {each.fault}", each.reason, "critical")
        execution.attach(
            "faults.json", canonical([each.model_dump(mode="json") for each in results])
        )
        execution.conclude_by(
            judge(
                execution.run.measures,
                (
                    Objective(measure="control.passed", op="==", limit=1),
                    Objective(measure="faults.missed", op="==", limit=0),
                ),
            )
        )
    return execution.run, results


def _try(job: Job, fault: Fault, settings: Settings) -> Result:
    """One fault on one copy, which is removed afterwards."""
    folder = job.folder / "mutant"
    mutant = _copy(job, folder)
    try:
        own = settings.model_copy(update={**_without_extras(settings), **(fault.settings or {})})
        if fault.damage is not None:
            unlocked(job, mutant)
            fault.damage(mutant)
            own = with_key(own, mutant)
        tried = job.model_copy(
            update={"backup": mutant.backup, "archive": mutant.archive, "settings": own}
        )
        return _result(tried, fault, _walk(tried, fault))
    finally:
        shutil.rmtree(folder)
        _forget(job)


def _without_extras(settings: Settings) -> dict[str, Any]:
    """No journeys and no audits: they notice nothing that the stages before them would miss."""
    return {"audits": Audits(), "smoke": settings.smoke.model_copy(update={"journeys": ()})}


def _forget(job: Job) -> None:
    """Nothing of a fault is there for the next; a tear-down that was killed is made up for."""
    run_stage(job, "tear_down")
    job.journal.unlink(missing_ok=True)
    for each in (job.folder / "stages").iterdir():
        each.unlink()


def _copy(job: Job, folder: Path) -> Mutant:
    mutant = Mutant(folder / "backup", folder / "archive", job.signing_key)
    mutant.archive.mkdir(parents=True)
    copy_tree(job.backup, mutant.backup)
    for name in wanted_segments(read_manifest(job.backup)):
        if job.archive is not None and (job.archive / name).is_file():
            shutil.copyfile(job.archive / name, mutant.archive / name)
    return mutant


def _walk(job: Job, fault: Fault) -> tuple[Stage, ...]:
    """The stages of a drill, or a backup, until one does not end well, and the tear-down."""
    *names, last = stages_of(fault.kind, job.settings)
    _harm(job, fault, "")
    for name in names:
        stage = _play(job, fault, name)
        if stage is None or stage.outcome is not Outcome.OK:
            break
        _harm(job, fault, name)
    _play(job, fault, last)
    return job.stages()


def _play(job: Job, fault: Fault, name: str) -> Stage | None:
    """One stage; nothing is known of it when its process was killed."""
    if name in (fault.killed, fault.full):
        play_apart(job, name, kill=name == fault.killed, full=name == fault.full)
        end_processes(job)
        return next((each for each in job.stages() if each.name == name), None)
    stage = run_stage(job, name)
    job.add(stage)
    return stage


def _harm(job: Job, fault: Fault, ended: str) -> None:
    if fault.tamper and ended == "recover":
        manifest = read_manifest(job.backup)
        with copy_connection(job, manifest.database, manifest.superuser) as connection:
            connection.execute(fault.tamper.encode())
    if fault.strike is not None and ended == fault.after:
        fault.strike(job)


def _result(job: Job, fault: Fault, stages: tuple[Stage, ...]) -> Result:
    ending = Ending("failed" if fault.killed else "successful")
    judged = judgement_of(fault.kind, job.settings, Finished(job, ending, stages))
    noticed = next((each.name for each in stages if each.outcome is not Outcome.OK), "")
    if not noticed and judged.verdict is not Verdict.PASS:
        noticed = "judge"
    right = (
        judged.verdict is fault.verdict
        and noticed == fault.caught_by
        and fault.words in judged.reason
    )
    return Result(
        fault=fault.name,
        wanted=f"{fault.verdict} by {fault.caught_by or 'nobody'}",
        verdict=judged.verdict,
        noticed_by=noticed,
        reason=judged.reason,
        right=right,
    )


def fault_table() -> str:
    """The catalogue as the table that docs/drills.md shows."""
    lines = ["| fault | the drill says | noticed by |", "| --- | --- | --- |"]
    lines += [f"| {each.name} | {each.verdict} | {each.caught_by} |" for each in CATALOGUE]
    return "\n".join(lines)
