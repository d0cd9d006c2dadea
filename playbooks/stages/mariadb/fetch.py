"""Bring the backup and its binary log to the scratch directory; the clock begins here."""

from __future__ import annotations

import shutil

from playbooks import osuser
from playbooks.attachments import bring_files
from playbooks.catalogue import Manifest, read_manifest
from playbooks.engines import MARIADB
from playbooks.errors import CheckFailed
from playbooks.interlocks import check_scratch
from playbooks.job import Job
from playbooks.mariadb.system import next_log
from playbooks.providers import provider_of
from playbooks.report import Report
from playbooks.tree import hash_file, need_space
from playbooks.vault import check_signature, opened

_SLACK = 256 << 20


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when logs are missing or are not those that were archived."""
    check_scratch(job)
    manifest = read_manifest(job.backup)
    check_signature(job, manifest, report)
    need_space(job.scratch, manifest.bytes + _SLACK, "the drill")
    job = opened(job, manifest, report)
    provider = provider_of(job)
    copied = provider.restore(job, manifest)
    job.wal.mkdir(mode=0o700)
    names = MARIADB.logs(manifest)
    _stage_wanted(job, manifest, names, report)
    later = _stage_later(job, names[-1]) if job.to is not None else []
    osuser.give_tree(job.wal, osuser.substitute())
    bring_files(job, manifest, report)
    report.fact(
        bytes=copied, segments=len(names) + len(later), later=later, backup=manifest.id,
        provider=provider.name,
    )  # fmt: skip


def _stage_wanted(job: Job, manifest: Manifest, names: list[str], report: Report) -> None:
    wrong = []
    for name in names:
        if not _stage(job, name):
            wrong.append(f"{name} is missing")
        elif hash_file(job.wal / name) != manifest.segments.get(name):
            wrong.append(f"{name} is not the one that was archived")
    if not report.check(
        "binary log", not wrong, wanted=f"{len(names)} files",
        found=f"{len(names) - len(wrong)} files", detail="; ".join(wrong[:5]),
    ):  # fmt: skip
        raise CheckFailed(f"the binary log is not whole: {'; '.join(wrong[:5])}")


def _stage_later(job: Job, last: str) -> list[str]:
    """The logs after the named instant, up to the first that is not there."""
    names: list[str] = []
    while _stage(job, last := next_log(last)):
        names.append(last)
    return names


def _stage(job: Job, name: str) -> bool:
    found = provider_of(job).segment(job, name, job.wal)
    if found is not None:
        need_space(job.wal, found.stat().st_size + _SLACK, "the drill")
        shutil.copyfile(found, job.wal / name)
    return found is not None
