"""Bring the backup and its write-ahead log to the scratch directory.

The log is staged, so that the copy never reads the archive while it recovers, nor could it
write there.  This is where the clock of the recovery time begins.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.catalogue import Manifest, read_manifest
from playbooks.errors import CheckFailed
from playbooks.interlocks import check_scratch
from playbooks.job import Job
from playbooks.report import Report
from playbooks.tree import copy_tree, hash_file, need_space
from playbooks.wal import gaps, parse_lsn, segment_name, segments

_SLACK = 256 << 20


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when segments are missing or are not those that were archived."""
    check_scratch(job)
    manifest = read_manifest(job.backup)
    names = wanted_segments(manifest)
    later = later_segments(manifest, job.archive) if job.to is not None and job.archive else []
    need_space(
        job.scratch,
        manifest.bytes + (len(names) + len(later)) * manifest.segment_bytes + _SLACK,
        "the drill",
    )
    user = osuser.substitute()
    copied = copy_tree(job.backup / "data", job.data)
    osuser.give_tree(job.data, user)
    staged = stage_segments(job, manifest, names, report)
    _stage_later(job, later)
    osuser.give_tree(job.wal, user)
    report.fact(bytes=copied, segments=staged + len(later), backup=manifest.id)


def wanted_segments(manifest: Manifest) -> list[str]:
    """Every segment that recovery to the backup's named instant reads."""
    first, last = parse_lsn(manifest.start_lsn), parse_lsn(manifest.point_lsn)
    return list(segments(manifest.timeline, first, last, manifest.segment_bytes))


def later_segments(manifest: Manifest, archive: Path) -> list[str]:
    """The segments after the backup's named instant, up to the first that is not there."""
    found: list[str] = []
    place = parse_lsn(manifest.point_lsn) + manifest.segment_bytes
    while True:
        name = segment_name(manifest.timeline, place, manifest.segment_bytes)
        if gaps(archive, [name], manifest.segment_bytes):
            return found
        found.append(name)
        place += manifest.segment_bytes


def stage_segments(job: Job, manifest: Manifest, names: list[str], report: Report) -> int:
    """Copy segments from the archive and compare them with the manifest; how many."""
    if job.archive is None:
        raise CannotRun(
            "it is not known where the write-ahead log is archived",
            hint="Set database.archive_directory of the target.",
        )
    job.wal.mkdir(mode=0o700)
    wrong = gaps(job.archive, names, manifest.segment_bytes)
    for name in names if not wrong else []:
        shutil.copyfile(job.archive / name, job.wal / name)
        if hash_file(job.wal / name) != manifest.segments.get(name):
            wrong.append(f"{name} is not the one that was archived")
    if not report.check(
        "write-ahead log", not wrong, wanted=f"{len(names)} segments",
        found=f"{len(names) - len(wrong)} segments", detail="; ".join(wrong[:5]),
    ):  # fmt: skip
        raise CheckFailed(f"the write-ahead log is not whole: {'; '.join(wrong[:5])}")
    _stage_histories(job.archive, job.wal)
    return len(names)


def _stage_later(job: Job, names: list[str]) -> None:
    if job.archive is None:
        return
    for name in names:
        shutil.copyfile(job.archive / name, job.wal / name)


def _stage_histories(archive: Path, wal: Path) -> None:
    for each in archive.glob("*.history"):
        shutil.copyfile(each, wal / each.name)
