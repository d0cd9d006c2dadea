"""What must be so before a drill touches anything: it restores into its own directory only."""

from __future__ import annotations

from pathlib import Path

from crmops.errors import CannotRun
from playbooks.job import MARKER, Job

_ALLOWED = {MARKER, "service.conf", "pg"}


def check_place(job: Job) -> None:
    """Raise CannotRun, before anything is created, if scratch would lie in a place of others."""
    protected = [Path(each) for each in (job.source_data, job.archive, job.backup) if each]
    for each in protected:
        if _overlap(job.scratch, each):
            raise CannotRun(
                f"{job.scratch.parent} is refused as scratch: it lies in {each}, which is to be "
                "protected",
                hint="Nothing was touched. Set drills.scratch to a directory of its own.",
            )
    if (job.scratch.parent / "PG_VERSION").exists():
        raise CannotRun(
            f"{job.scratch.parent} is refused as scratch: it is a data directory of PostgreSQL",
            hint="Nothing was touched. Set drills.scratch to a directory of its own.",
        )


def check_scratch(job: Job) -> None:
    """Raise CannotRun unless the scratch directory is this drill's own, real and empty."""
    place = job.scratch
    for refused, why in _refusals(job):
        if refused:
            raise CannotRun(
                f"{place} is refused: {why}",
                hint="Nothing was touched. Set drills.scratch to a directory of its own.",
            )


def _refusals(job: Job) -> list[tuple[bool, str]]:
    place = job.scratch
    marker = place / MARKER
    marked = marker.is_file() and marker.read_text(encoding="utf-8") == job.id
    protected = [Path(each) for each in (job.source_data, job.archive, job.backup) if each]
    return [
        (not place.is_dir(), "it is not a directory"),
        (place.is_symlink() or place.resolve() != place, "it is not a real path"),
        (not marked, f"it does not bear the mark of drill {job.id}"),
        (any(_overlap(place, each) for each in protected), "it lies in a place to be protected"),
        (any(each.name not in _ALLOWED for each in place.iterdir()), "it is not empty"),
    ]


def _overlap(one: Path, other: Path) -> bool:
    left, right = one.resolve(), other.resolve()
    return left == right or left.is_relative_to(right) or right.is_relative_to(left)
