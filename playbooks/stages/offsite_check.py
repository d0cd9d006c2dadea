"""Read every file of the second copy again, compare it with the signed manifest, and seal it."""

from __future__ import annotations

from pathlib import Path

from playbooks.catalogue import MANIFEST, read_manifest
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.report import Report
from playbooks.second_place import differing, seal_copy, second_place, stored_files
from playbooks.tree import size_of
from playbooks.vault import check_signature


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when the copy differs: it is left, but it does not count as a backup."""
    folder = Path(job.facts("offsite_copy")["folder"])
    whole = second_place(job) / job.target / job.backup.name
    manifest = read_manifest(whole if folder == whole else job.backup)
    check_signature(job, manifest, report)
    wanted = stored_files(manifest)
    wrong = differing(folder, wanted)
    report.fact(files=len(wanted), differing=len(wrong), bytes=size_of(folder))
    if not report.check(
        "SHA-256 of every file, read there", not wrong, wanted=f"{len(wanted)} files alike",
        found=f"{len(wrong)} differ", detail="; ".join(wrong[:5]),
    ):  # fmt: skip
        raise CheckFailed(f"the second copy is damaged: {'; '.join(wrong[:5])}")
    if folder != whole:
        seal_copy(folder, whole, job.backup / MANIFEST)
    report.fact(folder=str(whole))
