"""What a drill would do, without doing it: the dry run."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir

from pydantic import AwareDatetime, BaseModel, ConfigDict

from crmops.record import Kind, utc_now
from playbooks.judge import objectives_of, stages_of
from playbooks.run import Room
from playbooks.stages.fetch import wanted_segments
from playbooks.tree import free_space
from playbooks.wal import gaps


class Plan(BaseModel):
    """A drill as it would be carried out now.  Bytes and seconds; ``obstacles`` are for people."""

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
    stages: tuple[str, ...]
    objectives: tuple[str, ...]
    obstacles: tuple[str, ...]


def plan_drill(room: Room, backup: str = "latest") -> Plan:
    """The plan; reads the catalogue, the archive and the history, and writes nothing.

    Raises CannotRun when there is no backup, CheckFailed when its manifest is damaged.
    """
    chosen = room.catalogue.choose(backup)
    manifest = room.catalogue.read(chosen)
    names = wanted_segments(manifest)
    scratch = Path(room.settings.scratch or gettempdir())
    needed = manifest.bytes + len(names) * manifest.segment_bytes
    free = free_space(scratch)
    access = room.target.database
    archive = access.archive_directory if access else ""
    obstacles = [] if free > needed else [f"{scratch} has too little room"]
    if not archive:
        obstacles.append("database.archive_directory of the target is not set")
    else:
        obstacles += gaps(Path(archive), names, manifest.segment_bytes)
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
        seconds_last_time=_last_time(room),
        stages=stages_of(Kind.DRILL, room.settings),
        objectives=tuple(map(str, objectives_of(Kind.DRILL, room.settings))),
        obstacles=tuple(obstacles),
    )


def _last_time(room: Room) -> float | None:
    last = room.history.latest(Kind.DRILL, room.target.name, "restore")
    return last.seconds if last else None
