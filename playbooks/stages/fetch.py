"""Bring the backup and its write-ahead log to the scratch directory.

The log is staged, so that the copy never reads the archive while it recovers, nor could it
write there.  This is where the clock of the recovery time begins.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playbooks import osuser
from playbooks.attachments import bring_files
from playbooks.catalogue import Manifest, read_manifest
from playbooks.engines import POSTGRESQL
from playbooks.errors import CheckFailed
from playbooks.interlocks import check_scratch
from playbooks.job import Job
from playbooks.providers import provider_of
from playbooks.report import Report
from playbooks.tree import hash_file, need_space
from playbooks.vault import check_signature, opened
from playbooks.wal import gaps, parse_lsn, segment_name

_SLACK = 256 << 20


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when segments are missing or are not those that were archived."""
    check_scratch(job)
    manifest = read_manifest(job.backup)
    check_signature(job, manifest, report)
    names = wanted_segments(manifest)
    need_space(job.scratch, space_for(manifest, len(names)), "the drill")
    job = opened(job, manifest, report)
    provider = provider_of(job)
    copied = provider.restore(job, manifest)
    job.wal.mkdir(mode=0o700)
    osuser.give(job.wal, osuser.substitute())
    stage_segments(job, manifest, names, report)
    later = stage_later(job, manifest) if job.to is not None else 0
    osuser.give_tree(job.wal, osuser.substitute())
    bring_files(job, manifest, report)
    report.fact(
        bytes=copied, segments=len(names) + later, backup=manifest.id, provider=provider.name
    )


def space_for(manifest: Manifest, segments: int) -> int:
    """Bytes that a drill needs in scratch: files, log, and something to work with."""
    return manifest.bytes + segments * manifest.segment_bytes + _SLACK


def wanted_segments(manifest: Manifest) -> list[str]:
    """Every segment that recovery to the backup's named instant reads."""
    return POSTGRESQL.logs(manifest)


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


def stage_segments(job: Job, manifest: Manifest, names: list[str], report: Report) -> None:
    """Bring segments from the archive and compare them with the manifest."""
    size, wrong = manifest.segment_bytes, []
    for name in names:
        if not _stage(job, name):
            wrong.append(f"{name} is missing")
        elif bad := gaps(job.wal, [name], size):
            wrong += bad
        elif hash_file(job.wal / name) != manifest.segments.get(name):
            wrong.append(f"{name} is not the one that was archived")
    if not report.check(
        "write-ahead log", not wrong, wanted=f"{len(names)} segments",
        found=f"{len(names) - len(wrong)} segments", detail="; ".join(wrong[:5]),
    ):  # fmt: skip
        raise CheckFailed(f"the write-ahead log is not whole: {'; '.join(wrong[:5])}")
    if job.archive is not None:
        for each in job.archive.glob("*.history"):
            shutil.copyfile(each, job.wal / each.name)


def stage_later(job: Job, manifest: Manifest) -> int:
    """Bring the segments after the backup's named instant, as far as there are; how many."""
    count, place = 0, parse_lsn(manifest.point_lsn)
    while True:
        place += manifest.segment_bytes
        name = segment_name(manifest.timeline, place, manifest.segment_bytes)
        need_space(job.wal, manifest.segment_bytes + _SLACK, "the drill")
        if not _stage(job, name):
            return count
        if gaps(job.wal, [name], manifest.segment_bytes):
            (job.wal / name).unlink()
            return count
        count += 1


def _stage(job: Job, name: str) -> bool:
    found = provider_of(job).segment(job, name, job.wal)
    if found is not None and found.parent != job.wal:
        shutil.copyfile(found, job.wal / name)
    return found is not None
