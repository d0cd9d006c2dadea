"""Is a backup still, where it lies, what it was when it was sealed?  Nothing is restored."""

from __future__ import annotations

from pathlib import Path

from playbooks.catalogue import Manifest, read_manifest
from playbooks.encryption import SUFFIX, Keys, decrypt_file
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.report import Report
from playbooks.second_place import differing, sources, stored_files
from playbooks.tree import hash_file, size_of
from playbooks.vault import check_signature, keys_of, need_kept_here


def run(job: Job, report: Report) -> None:
    """Signature, seal, and the SHA-256 of every file and of the log; of the plaintext if a key
    is named.  Raises CheckFailed at what differs."""
    manifest = read_manifest(job.backup)
    check_signature(job, manifest, report)
    need_kept_here(manifest)
    wrong = _differing(job, manifest)
    names = stored_files(manifest)
    report.fact(files=len(names), differing=len(wrong), bytes=size_of(job.backup))
    report.fact(backup=manifest.id, segments=len(manifest.segments), opened=0)
    if not report.check(
        "SHA-256 of every file", not wrong, wanted=f"{len(names)} files alike",
        found=f"{len(wrong)} differ", detail="; ".join(wrong[:5]),
    ):  # fmt: skip
        raise CheckFailed(f"the stored backup is damaged: {'; '.join(wrong[:5])}")
    if manifest.encrypted is not None and job.settings.backup.identity:
        _open(job, manifest, keys_of(job.settings), report)


def _differing(job: Job, manifest: Manifest) -> list[str]:
    """Also the log that still lies in the archive."""
    wanted = stored_files(manifest)
    if job.offsite or manifest.encrypted is not None:
        return differing(job.backup, wanted)
    here = {name: digest for name, digest in wanted.items() if name.startswith("data/")}
    wrong = differing(job.backup, here)
    for name, place in sources(job.backup, job.archive, manifest).items():
        if name not in here:
            wrong += _segment(place, wanted[name])
    return wrong


def _segment(place: Path, wanted: str) -> list[str]:
    if not place.is_file():
        return [f"{place.name} is missing from the archive"]
    return [] if hash_file(place) == wanted else [f"{place.name} is not the one that was archived"]


def _open(job: Job, manifest: Manifest, keys: Keys, report: Report) -> None:
    """Decrypt file by file, compare the plaintext, keep nothing."""
    wrong = []
    plain = {f"data/{name}": digest for name, digest in manifest.files.items()}
    plain |= {f"wal/{name}": digest for name, digest in manifest.segments.items()}
    for name, digest in sorted(plain.items()):
        out = job.scratch / "one"
        found = decrypt_file(job.backup / f"{name}{SUFFIX}", out, keys)
        out.unlink()
        if found.plain != digest:
            wrong.append(f"{name} does not hold what was backed up")
    report.fact(opened=len(plain))
    report.check(
        "SHA-256 of the plaintext", not wrong, wanted=f"{len(plain)} files alike",
        found=f"{len(wrong)} differ", detail="; ".join(wrong[:5]),
    )  # fmt: skip
