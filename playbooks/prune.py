"""Removing old backups: first a plan that a person can look at, then that plan and no other.

The journal beside the backups says of each what was removed when and why, before it is removed.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from crmops.record import utc_now
from playbooks.catalogue import MANIFEST, Catalogue
from playbooks.job import canonical
from playbooks.retention import as_kept, going
from playbooks.settings import Settings

JOURNAL = "journal.ndjson"


class Line(BaseModel):
    """A backup in a plan: whether it goes, and its size where it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backup: str
    taken: AwareDatetime
    bytes: int
    good: bool
    goes: bool


class Plan(BaseModel):
    """What retention would do now, newest first.  ``digest`` names exactly this plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: tuple[Line, ...]
    rule: str

    @property
    def digest(self) -> str:
        """Short name of the plan: other backups, or another rule, is another plan."""
        body = {"rule": self.rule, "lines": [(each.backup, each.goes) for each in self.lines]}
        return hashlib.sha256(canonical(body).encode()).hexdigest()[:12]

    @property
    def going(self) -> list[Line]:
        """What would be removed, oldest first."""
        return [each for each in reversed(self.lines) if each.goes]


def plan_retention(catalogue: Catalogue, settings: Settings) -> Plan:
    """The plan; reads manifests and touches nothing.  Damaged backups are not in it."""
    leaving = set(going(catalogue, settings))
    lines = [
        Line(
            backup=each.id,
            taken=each.ended,
            bytes=each.bytes,
            good=as_kept(each, settings).good,
            goes=each.id in leaving,
        )
        for each in catalogue.manifests()
    ]
    rule = f"newest {settings.keep}, weekly {settings.keep_weekly}, monthly {settings.keep_monthly}"
    return Plan(lines=tuple(lines), rule=rule)


def remove_backups(catalogue: Catalogue, ids: Sequence[str], run: str, why: str) -> None:
    """Remove backups, oldest first, each noted before and after."""
    for each in ids:
        note(catalogue.folder, {"what": "removing", "backup": each, "run": run, "why": why})
        catalogue.forget(each)
        note(catalogue.folder, {"what": "removed", "backup": each, "run": run})


def finish_removals(catalogue: Catalogue, run: str) -> list[str]:
    """Remove what is left of backups whose removal was interrupted; the ids of those."""
    entries = read_journal(catalogue.folder)
    ended = {each["backup"] for each in entries if each.get("what") == "removed"}
    begun = [each["backup"] for each in entries if each.get("what") == "removing"]
    left = []
    for each in dict.fromkeys(begun):
        place = catalogue.place(each)
        if each not in ended and place.is_dir() and not (place / MANIFEST).exists():
            shutil.rmtree(place)
            note(catalogue.folder, {"what": "removed", "backup": each, "run": run})
            left.append(each)
    return left


def note(folder: Path, entry: dict[str, Any]) -> None:
    """Append a line to the journal, on disk before anything is done."""
    line = {"at": utc_now().isoformat(timespec="seconds"), "by": _user(), **entry}
    handle = os.open(folder / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(canonical(line) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The journal's lines; one that a crash cut is left out."""
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for each in lines:
        try:
            found.append(json.loads(each))
        except ValueError:
            continue
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
