"""Put the verified copy into the catalogue and seal it with a manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

from crmops import __version__
from crmops.errors import CannotRun
from crmops.record import utc_now
from playbooks.catalogue import Encrypted, Manifest, write_manifest
from playbooks.encryption import recipients_of
from playbooks.job import Job, parse_time
from playbooks.osuser import take_tree
from playbooks.providers import provider_of
from playbooks.report import Report
from playbooks.vault import encrypt_backup


def run(job: Job, report: Report) -> None:
    """The folder appears under its name only when it is whole."""
    if job.backup.exists():
        raise CannotRun(f"{job.backup} exists already")
    partial = job.partial
    shutil.rmtree(partial, ignore_errors=True)
    job.backup.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial.mkdir(mode=0o700)
    encrypted = _keep(job, partial)
    take_tree(partial)
    manifest = _manifest(job).model_copy(update={"encrypted": encrypted})
    write_manifest(partial, manifest, job.signing_key)
    partial.rename(job.backup)
    report.fact(id=job.id, encrypted_to=list(encrypted.recipients) if encrypted else [])


def _keep(job: Job, partial: Path) -> Encrypted | None:
    """Keep the copy; one that is to be encrypted never lies among the backups in the clear."""
    provider, recipients = provider_of(job), recipients_of(job.settings.backup.encrypt_to)
    if not recipients:
        provider.keep(job, partial)
        return None
    whole = job.scratch / "whole"
    whole.mkdir(mode=0o700)
    provider.keep(job, whole)
    found = (provider.segment(job, e, job.wal) for e in job.facts("wal_archive")["segments"])
    return encrypt_backup(whole, partial, [each for each in found if each], recipients)


def _manifest(job: Job) -> Manifest:
    source, copy = job.facts("source_check"), job.facts("base_backup")
    files, point = job.facts("verify_files"), job.facts("read_contents")
    return Manifest(
        id=job.id,
        target=job.target,
        provider=copy["provider"],
        label=copy["label"],
        parents=copy["parents"],
        attachments=copy.get("attachments"),
        begun=job.stages()[0].begun,
        ended=utc_now(),
        database=source["database"],
        superuser=source["superuser"],
        postgres=source["tools"],
        major=source["major"],
        system_identifier=files["system_identifier"],
        timeline=files["timeline"],
        segment_bytes=files["segment_bytes"],
        start_lsn=files["start_lsn"],
        end_lsn=files["end_lsn"],
        point=point["point"],
        point_lsn=point["lsn"],
        point_time=parse_time(point["time"]),
        canary_time=parse_time(point["canary"]),
        exact=point["how"],
        contents=point["contents"],
        bytes=copy["bytes"],
        settings=source["settings"],
        files=files["hashes"],
        segments=job.facts("wal_archive")["segments"],
        tools={"crmops": __version__, provider_of(job).engine.name: source["tools"]},
    )
