"""Write what was pulled as NDJSON, encrypted where that is wanted, and sign its manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from crmops import __version__
from crmops.record import utc_now
from playbooks.encryption import SUFFIX, encrypt_file, recipients_of
from playbooks.job import Job, parse_time
from playbooks.report import Report
from playbooks.saas.pulling import PULLING
from playbooks.saas.snapshot import DELETED, EntityPart, Snapshot, write_snapshot
from playbooks.saas.store import Store
from playbooks.saas.talk import read_target
from playbooks.saas.values import Digest, FieldShape
from playbooks.tree import hash_file, size_of


def run(job: Job, report: Report) -> None:
    """The folder appears under its name only when it is whole; the work file is removed then."""
    place, partial = job.backup.parent / PULLING, job.partial
    shapes = {
        name: tuple(map(FieldShape.model_validate, fields))
        for name, fields in json.loads((place / "shapes.json").read_bytes()).items()
    }
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    store = Store(place / "work.sqlite")
    try:
        writer = Writer(job, partial)
        parts = {name: _write(job, store, writer, name, fields) for name, fields in shapes.items()}
        gone = [json.dumps(each) for each in store.gone()]
        writer.write(DELETED, gone)
    finally:
        store.close()
    pulled = job.facts("saas_pull")
    snapshot = Snapshot(
        id=job.id, target=job.target, connector=read_target(job, "crm").connector,
        begun=parse_time(pulled["begun"]), ended=utc_now(), entities=parts, deleted=len(gone),
        files=writer.files, recipients=writer.recipients, tools={"crmops": __version__},
    )  # fmt: skip
    write_snapshot(partial, snapshot, job.signing_key)
    partial.rename(job.backup)
    shutil.rmtree(place)
    report.fact(id=job.id, bytes=size_of(job.backup), deleted=len(gone), remarks=writer.remarks)


def _write(
    job: Job, store: Store, writer: Writer, entity: str, fields: tuple[FieldShape, ...]
) -> EntityPart:
    pulled, digest = job.facts("saas_pull"), Digest(fields)
    known = {each.name for each in fields}
    strange: set[str] = set()

    def lines() -> Iterable[str]:
        for line, record in store.records(entity):
            digest.add(record)
            strange.update(record.keys() - known)
            yield line

    sha256, size = writer.write(entity, lines())
    if strange:
        writer.remarks.append([f"{entity} has fields without a description", _list(strange)])
    if digest.unfit:
        writer.remarks.append([f"{entity} has values of another kind", _list(digest.unfit)])
    return EntityPart(
        records=digest.records, counted=pulled["counted"][entity], digest=digest.text(),
        sha256=sha256, bytes=size, fields=fields, dangling=pulled["dangling"][entity],
    )  # fmt: skip


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


class Writer:
    """Writes the files of a snapshot; plaintext lies in scratch when it is to be encrypted."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._folder = folder
        self._scratch = job.scratch
        self.recipients = recipients_of(job.settings.backup.encrypt_to)
        self.files: dict[str, str] = {}
        self.remarks: list[list[str]] = []

    def write(self, name: str, lines: Iterable[str]) -> tuple[str, int]:
        """Write one file; SHA-256 and bytes of its plaintext."""
        path = (self._scratch if self.recipients else self._folder) / f"{name}.ndjson"
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as stream:
            path.chmod(0o600)
            for line in lines:
                content = line.encode() + b"\n"
                digest.update(content)
                size += stream.write(content)
        if self.recipients:
            closed = self._folder / f"{path.name}{SUFFIX}"
            self.files[closed.name] = encrypt_file(path, closed, self.recipients).cipher
            path.unlink()
        else:
            self.files[path.name] = hash_file(path)
        return digest.hexdigest(), size
