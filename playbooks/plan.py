"""What a drill would do, without doing it: the dry run."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from crmops.record import Kind, Run, Verdict, utc_now
from playbooks.evidence import EVIDENCE
from playbooks.judge import objectives_of, stages_of
from playbooks.providers import providers
from playbooks.run import Room
from playbooks.stages.fetch import space_for
from playbooks.tree import free_space
from playbooks.vault import hindrances
from playbooks.wal import gaps


class Plan(BaseModel):
    """A drill as it would be carried out now.  Bytes and seconds; ``obstacles`` are for people.

    ``seconds_expected`` is what the newest drill that passed took, by the size of its backup and of
    this one; None when there is no such drill.  ``stage_seconds`` are that drill's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    backup: str
    taken: AwareDatetime
    age_seconds: float
    recover_to: str
    scratch: str
    bytes_needed: int
    bytes_free: int
    segments: int
    seconds_last_time: float | None
    seconds_expected: float | None
    stage_seconds: dict[str, float]
    stages: tuple[str, ...]
    objectives: tuple[str, ...]
    obstacles: tuple[str, ...]


def plan_drill(room: Room, backup: str = "latest") -> Plan:
    """The plan; reads the catalogue, the archive and the history, and writes nothing.

    Raises CannotRun when there is no backup, CheckFailed when its manifest is damaged.
    """
    chosen = room.catalogue.choose(backup)
    manifest = room.catalogue.read(chosen)
    provider = providers()[manifest.provider]
    names = provider.engine.logs(manifest)
    last = _last_passed(room)
    before = _stages(room, last)
    scratch = Path(room.settings.scratch or gettempdir())
    needed = space_for(manifest, len(names))
    free = free_space(scratch)
    obstacles = [] if free > needed else [f"{scratch} has too little room"]
    obstacles += hindrances(manifest, room.settings)
    if not provider.keeps_log:
        obstacles += _missing(room, names, manifest.segment_bytes)
    return Plan(
        target=room.target.name,
        backup=chosen,
        taken=manifest.ended,
        age_seconds=max((utc_now() - manifest.ended).total_seconds(), 0.0),
        recover_to=f"restore point {manifest.point}",
        scratch=str(scratch),
        bytes_needed=needed,
        bytes_free=free,
        segments=len(names),
        seconds_last_time=last.seconds if last else None,
        seconds_expected=_expected(last, before, manifest.bytes),
        stage_seconds={name: float(each["seconds"]) for name, each in before.items()},
        stages=stages_of(Kind.DRILL, room.settings),
        objectives=tuple(map(str, objectives_of(Kind.DRILL, room.settings))),
        obstacles=tuple(obstacles),
    )


def _missing(room: Room, names: list[str], segment_bytes: int) -> list[str]:
    access = room.target.database
    if access is None or not access.archive_directory:
        return ["database.archive_directory of the target is not set"]
    return gaps(Path(access.archive_directory), names, segment_bytes)


def _last_passed(room: Room) -> Run | None:
    found = room.history.find(Kind.DRILL, room.target.name, "restore", finished=True, limit=20)
    return next((each for each in found if each.verdict is Verdict.PASS), None)


def _stages(room: Room, run: Run | None) -> dict[str, dict[str, Any]]:
    """The stages of a run by name, from its evidence; nothing if that is gone or damaged."""
    if run is None:
        return {}
    try:
        text = (room.history.artifacts(run.id) / EVIDENCE).read_text(encoding="utf-8")
        return {each["name"]: each for each in json.loads(text)["evidence"]["stages"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _expected(last: Run | None, stages: dict[str, dict[str, Any]], size: int) -> float | None:
    if last is None or last.seconds is None:
        return None
    copied = float(stages.get("fetch", {}).get("facts", {}).get("bytes") or 0)
    work = sum(float(each["seconds"]) for each in stages.values())
    if not copied or work > last.seconds:
        return last.seconds
    return round(last.seconds - work + work * size / copied, 1)
