"""Copy a sealed backup to the second place, going on where an earlier copy broke off."""

from __future__ import annotations

from crmops.errors import CannotRun
from playbooks.catalogue import MANIFEST, read_manifest
from playbooks.job import Job
from playbooks.report import Report
from playbooks.second_place import (
    copy_directories,
    copy_files,
    second_place,
    sources,
    stored_files,
)
from playbooks.tree import need_space, size_of
from playbooks.vault import check_signature, need_kept_here

_SLACK = 64 << 20


def run(job: Job, report: Report) -> None:
    """Raises CannotRun when the second place is not there or has no room."""
    manifest = read_manifest(job.backup)
    check_signature(job, manifest, report)
    need_kept_here(manifest)
    for each in manifest.parents:
        if not (second_place(job) / job.target / each / MANIFEST).is_file():
            raise CannotRun(
                f"the backup rests upon {each}, which is not in the second place",
                hint=f"Copy that first: crmops backup offsite --backup {each}.",
            )
    place = second_place(job)
    folder = place / job.target
    partial, whole = folder / f".{manifest.id}.partial", folder / manifest.id
    alike = place.stat().st_dev == job.backup.stat().st_dev
    report.fact(place=str(place), same_disk=alike)
    if (whole / MANIFEST).is_file():
        report.fact(copied_bytes=0, continued=len(stored_files(manifest)), folder=str(whole))
        return
    found = sources(job.backup, job.archive, manifest)
    size = sum(each.stat().st_size for each in found.values() if each.is_file())
    there = size_of(partial) if partial.is_dir() else 0
    need_space(place, max(size - there, 0) + _SLACK, "the second copy")
    partial.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy_directories(job.backup, partial)
    done = copy_files(found, partial)
    report.fact(copied_bytes=done.bytes, continued=done.continued, folder=str(partial))
