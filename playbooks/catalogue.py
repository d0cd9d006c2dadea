"""The backups that there are: one folder each, sealed by a manifest of our own.

    <directory>/<target>/<backup id>/
        data/                what pg_basebackup copied
        crmops-backup.json   the manifest; its presence seals the backup

A folder without manifest is half a backup and no backup at all.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from crmops.errors import CannotRun, UsageError
from crmops.record import utc_now
from playbooks.digest import Contents
from playbooks.errors import CheckFailed
from playbooks.job import canonical, write_atomically
from playbooks.vouch import Signature, vouch

MANIFEST = "crmops-backup.json"
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


class Encrypted(BaseModel):
    """How a backup lies encrypted: to whom, and the SHA-256 of every ciphertext by its path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipients: tuple[str, ...]
    files: dict[str, str]


class Attachments(BaseModel):
    """The files that restic keeps beside a backup: its snapshot, and SHA-256 by SHA-256 of path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    snapshot: str
    count: int
    bytes: int
    files: dict[str, str]


class Manifest(BaseModel):
    """Everything a drill needs to know of a backup, and to recognise it by.

    ``files`` holds the SHA-256 of every file below data/, ``segments`` that of the archived
    log from the backup's begin to the named instant; both of the plaintext.  ``encrypted`` knows
    the ciphertext.  ``seal`` is the SHA-256 over the rest, ``signature`` vouches for the seal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    id: str
    target: str
    begun: AwareDatetime
    ended: AwareDatetime
    database: str
    superuser: str
    postgres: str
    major: int
    system_identifier: str
    timeline: int
    segment_bytes: int
    start_lsn: str
    end_lsn: str
    point: str
    point_lsn: str
    point_time: AwareDatetime
    canary_time: AwareDatetime
    exact: str = Field(description="how the named instant was found")
    contents: Contents | None
    bytes: int
    settings: dict[str, str]
    files: dict[str, str]
    segments: dict[str, str]
    tools: dict[str, str]
    provider: str = "postgresql"
    label: str = Field(default="", description="the provider's own name of the backup")
    parents: tuple[str, ...] = Field(default=(), description="labels that it cannot do without")
    attachments: Attachments | None = None
    encrypted: Encrypted | None = None
    seal: str = ""
    signature: Signature | None = None

    def sealed(self, key: Path | None) -> Manifest:
        """The same with its seal, signed where there is a key."""
        seal = self.digest()
        signature = vouch(seal, key) if key is not None else None
        return self.model_copy(update={"seal": seal, "signature": signature})

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of everything but seal and signature."""
        body: dict[str, Any] = self.model_dump(mode="json", exclude={"seal", "signature"})
        return hashlib.sha256(canonical(body).encode()).hexdigest()


class Catalogue:
    """The backups of one target."""

    def __init__(self, directory: Path, target: str) -> None:
        self.folder = directory / target

    def place(self, backup_id: str) -> Path:
        """Where a backup lies, or would."""
        return self.folder / backup_id

    def ids(self) -> list[str]:
        """Ids of the sealed backups, newest first."""
        if not self.folder.is_dir():
            return []
        found = [each.parent.name for each in self.folder.glob(f"*/{MANIFEST}")]
        return sorted((each for each in found if _ID.fullmatch(each)), reverse=True)

    def choose(self, wanted: str) -> str:
        """The id of ``latest``, ``oldest`` or a named backup.

        Raises CannotRun when there is no backup at all, UsageError for an id that is not there.
        """
        known = self.ids()
        if not known:
            raise CannotRun(
                f"there is no backup of {self.folder.name}",
                hint="Take one first: crmops backup run.",
            )
        if wanted in ("latest", "oldest"):
            return known[0 if wanted == "latest" else -1]
        if wanted not in known:
            raise UsageError(
                f"there is no backup {wanted!r} of {self.folder.name}",
                hint=f"crmops backup list shows them; the newest is {known[0]}.",
            )
        return wanted

    def choose_before(self, moment: datetime, wanted: str) -> str:
        """The id of the newest backup from which a moment can be reached, or of a named one.

        Raises UsageError when there is none, or when the moment has not come yet.
        """
        if moment > utc_now():
            raise UsageError(
                f"{moment.isoformat()} has not come yet", hint="Name a moment in the past."
            )
        known = [each for each in self.manifests() if each.point_time <= moment]
        if wanted != "latest":
            chosen = self.choose(wanted)
            known = [each for each in known if each.id == chosen]
        if not known:
            raise UsageError(
                f"no backup reaches back to {moment.isoformat()}",
                hint="A backup must have ended before that moment; see crmops backup list.",
            )
        return known[0].id

    def read(self, backup_id: str) -> Manifest:
        """A backup's manifest.  Raises CheckFailed when it was damaged or edited."""
        return read_manifest(self.place(backup_id))

    def manifests(self) -> list[Manifest]:
        """Every manifest that can be read, newest first."""
        found = []
        for each in self.ids():
            try:
                found.append(self.read(each))
            except CheckFailed:
                continue
        return found

    def forget(self, backup_id: str) -> None:
        """Remove a backup: its seal first, so that a killed removal leaves no whole-looking one."""
        if not _ID.fullmatch(backup_id):
            raise ValueError(f"{backup_id!r} is no backup id")
        (self.place(backup_id) / MANIFEST).unlink()
        shutil.rmtree(self.place(backup_id))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup's folder.  Raises CheckFailed when it was damaged or edited."""
    try:
        found = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise CheckFailed(f"the backup's manifest cannot be read: {error.strerror}") from None
    except ValidationError:
        raise CheckFailed("the backup's manifest is damaged: it does not read") from None
    if found.seal != found.digest():
        raise CheckFailed("the backup's manifest was edited: its seal does not match")
    return found


def write_manifest(folder: Path, manifest: Manifest, key: Path | None = None) -> None:
    """Seal a backup and sign it."""
    write_atomically(folder / MANIFEST, manifest.sealed(key).model_dump_json(indent=1))
