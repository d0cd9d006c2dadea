"""A snapshot: every record of every entity as NDJSON, and a signed manifest.

<directory>/<target>.saas/<id>/
    account.ndjson[.age] ...    one record a line, as the API gave it
    deleted.ndjson[.age]        what was deleted since the snapshot before
    crmops-snapshot.json        its presence seals the snapshot
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from crmops.errors import CannotRun, UsageError
from playbooks.catalogue import Catalogue
from playbooks.errors import CheckFailed
from playbooks.job import canonical, write_atomically
from playbooks.saas.values import FieldShape
from playbooks.vouch import Signature, vouch

MANIFEST = "crmops-snapshot.json"
DELETED = "deleted"
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


class EntityPart(BaseModel):
    """What a snapshot knows of one entity.

    ``counted`` is the API's own number at the time, None where it cannot count.  ``dangling`` are
    lookups, by field, whose record the CRM itself does not have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    records: int
    counted: int | None
    digest: str
    sha256: str
    bytes: int
    fields: tuple[FieldShape, ...]
    dangling: dict[str, int] = {}


class Snapshot(BaseModel):
    """The manifest.  ``files`` holds the SHA-256 of each file as it lies there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    id: str
    target: str
    connector: str
    begun: AwareDatetime
    ended: AwareDatetime
    entities: dict[str, EntityPart]
    deleted: int
    files: dict[str, str]
    recipients: tuple[str, ...] = ()
    tools: dict[str, str]
    seal: str = ""
    signature: Signature | None = None

    @property
    def records(self) -> int:
        """Records of all entities."""
        return sum(each.records for each in self.entities.values())

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of everything but seal and signature."""
        body: dict[str, Any] = self.model_dump(mode="json", exclude={"seal", "signature"})
        return hashlib.sha256(canonical(body).encode()).hexdigest()

    def sealed(self, key: Path | None) -> Snapshot:
        """The same with its seal, signed where there is a key."""
        seal = self.digest()
        signature = vouch(seal, key) if key is not None else None
        return self.model_copy(update={"seal": seal, "signature": signature})


def folder_of(catalogue: Catalogue) -> Path:
    """Where a target's snapshots lie, beside its backups."""
    return catalogue.folder.with_name(f"{catalogue.folder.name}.saas")


def snapshots(folder: Path) -> list[str]:
    """Ids of the sealed snapshots, newest first."""
    found = [each.parent.name for each in folder.glob(f"*/{MANIFEST}")]
    return sorted((each for each in found if _ID.fullmatch(each)), reverse=True)


def choose(folder: Path, wanted: str) -> Path:
    """The folder of ``latest``, ``oldest`` or a named snapshot.

    Raises CannotRun when there is none at all, UsageError for one that is not there.
    """
    known, name = snapshots(folder), folder.name.removesuffix(".saas")
    if not known:
        raise CannotRun(f"there is no snapshot of {name}", hint="Take one first: crmops pull.")
    if wanted in ("latest", "oldest"):
        return folder / known[0 if wanted == "latest" else -1]
    if wanted not in known:
        raise UsageError(
            f"there is no snapshot {wanted!r} of {name}", hint=f"The newest is {known[0]}."
        )
    return folder / wanted


def read_snapshot(folder: Path) -> Snapshot:
    """A snapshot's manifest.  Raises CheckFailed when it was damaged or edited."""
    try:
        found = Snapshot.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise CheckFailed(f"the snapshot's manifest cannot be read: {error.strerror}") from None
    except ValidationError:
        raise CheckFailed("the snapshot's manifest is damaged: it does not read") from None
    if found.seal != found.digest():
        raise CheckFailed("the snapshot's manifest was edited: its seal does not match")
    return found


def write_snapshot(folder: Path, snapshot: Snapshot, key: Path | None) -> None:
    """Seal a snapshot and sign it."""
    write_atomically(folder / MANIFEST, snapshot.sealed(key).model_dump_json(indent=1))
