"""Bring a snapshot to the scratch directory: signature, every file, decryption."""

from __future__ import annotations

import shutil
from pathlib import Path

from playbooks.encryption import SUFFIX, open_file
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.report import Report
from playbooks.saas.snapshot import MANIFEST, Snapshot, read_snapshot
from playbooks.tree import hash_file, need_space
from playbooks.vault import keys_of
from playbooks.vouch import require_signature, trusted_key

PLACE = "snapshot"
_SLACK = 256 << 20


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed at the first file that is missing, altered or strange."""
    snapshot = read_snapshot(job.backup)
    trusted = trusted_key(job.signing_key, job.settings.backup.trusted_key)
    signer = require_signature(snapshot.seal, snapshot.signature, trusted)
    report.check("signature", True, wanted=signer, found=signer)
    size = sum(each.bytes for each in snapshot.entities.values())
    need_space(job.scratch, 4 * size + _SLACK, "the drill")
    there = {each.name for each in job.backup.iterdir()} - {MANIFEST}
    if there != snapshot.files.keys():
        wrong = sorted(there ^ snapshot.files.keys())[0]
        raise CheckFailed(f"{wrong} is {'strange' if wrong in there else 'missing'}")
    place = job.scratch / PLACE
    place.mkdir(mode=0o700)
    _bring(job, snapshot, place)
    for name, part in snapshot.entities.items():
        if hash_file(place / f"{name}.ndjson") != part.sha256:
            raise CheckFailed(f"{name}.ndjson does not hold what was pulled")
    report.check("SHA-256 of every file", True, wanted=f"{len(there)} files alike", found="alike")
    report.fact(
        files=len(there), backup=snapshot.id, records=snapshot.records,
        taken=snapshot.begun.isoformat(), encrypted_to=list(snapshot.recipients),
    )  # fmt: skip


def _bring(job: Job, snapshot: Snapshot, place: Path) -> None:
    keys = keys_of(job.settings) if snapshot.recipients else None
    for name, wanted in snapshot.files.items():
        if keys is not None:
            open_file(job.backup / name, place / name.removesuffix(SUFFIX), keys, wanted)
        elif hash_file(job.backup / name) != wanted:
            raise CheckFailed(f"{name} has changed")
        else:
            shutil.copyfile(job.backup / name, place / name)
