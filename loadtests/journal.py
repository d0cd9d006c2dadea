"""The journal of what a load test has written: one JSON line each, synced, never any contents.

Lines: ``{"try": entity, "at"}`` before a create is sent, ``{"made": entity, "id"}`` once it is
acknowledged, ``{"set": entity, "id", "from", "to", "fields": {name: hash}}`` for an update,
``{"gone": entity, "id"}`` for a delete.  Values are only ever kept as salted hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "journal.jsonl"


class JournalWriter:
    """Appends lines.  A line is in the kernel's hands when the method returns, so that it outlives
    a killed process; :meth:`sync` puts them on the disk.
    """

    def __init__(self, path: Path, salt: str) -> None:
        self._salt = salt
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._dirty = False

    def trying(self, entity: str, at: float) -> None:
        """A create is about to be sent."""
        self._write({"try": entity, "at": round(at, 3)})

    def made(self, entity: str, record_id: str) -> None:
        """A create was acknowledged."""
        self._write({"made": entity, "id": record_id})

    def made_many(self, entity: str, record_ids: Iterable[str]) -> None:
        """A bulk import was acknowledged: one line a record, all in the kernel's hands at once."""
        self._write_all({"made": entity, "id": record_id} for record_id in record_ids)

    def updated(
        self,
        entity: str,
        record_id: str,
        fields: Mapping[str, Any],
        begun: float,
        ended: float | None = None,
    ) -> None:
        """An update was acknowledged (``ended``), or nobody knows whether it holds (None).

        ``begun`` and ``ended`` are seconds of one clock.
        """
        hashes = {name: fingerprint(value, self._salt) for name, value in fields.items()}
        end = None if ended is None else round(ended, 6)
        line = {"from": round(begun, 6), "to": end, "fields": hashes}
        self._write({"set": entity, "id": record_id, **line})

    def deleted(self, entity: str, record_id: str) -> None:
        """A delete was acknowledged."""
        self._write({"gone": entity, "id": record_id})

    def sync(self) -> None:
        """Put everything so far on the disk; blocks."""
        if self._dirty:
            self._dirty = False
            os.fdatasync(self._handle)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._handle)

    def _write(self, line: dict[str, Any]) -> None:
        self._write_all([line])

    def _write_all(self, lines: Iterable[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        while text:  # a short write happens when the disk is nearly full
            text = text[os.write(self._handle, text) :]
        self._dirty = True


@dataclass(slots=True)
class Update:
    """One update: when, and the hashes of what it set.  ``ended`` is None if its end is unknown."""

    begun: float
    ended: float | None
    fields: dict[str, str]


@dataclass(slots=True)
class Journal:
    """What a journal says, read back."""

    tries: dict[str, int] = field(default_factory=dict)
    made: dict[tuple[str, str], int] = field(default_factory=dict)
    updates: dict[tuple[str, str], list[Update]] = field(default_factory=dict)
    gone: set[tuple[str, str]] = field(default_factory=set)
    torn: int = 0

    @property
    def entities(self) -> list[str]:
        """Every entity that was created, or tried."""
        return sorted({*self.tries, *(entity for entity, _ in self.made)})


def read_journals(folder: Path) -> Journal:
    """Everything that the journals in a run's folder say; a torn last line is counted."""
    found = Journal()
    for path in sorted(folder.glob(f"*{NAME}")):
        for line in _lines(path):
            try:
                _take(found, json.loads(line))
            except (ValueError, KeyError, TypeError):
                found.torn += 1
    return found


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from stream


def _take(journal: Journal, line: dict[str, Any]) -> None:
    if entity := line.get("try"):
        journal.tries[entity] = journal.tries.get(entity, 0) + 1
    elif entity := line.get("made"):
        key = (str(entity), str(line["id"]))
        journal.made[key] = journal.made.get(key, 0) + 1
    elif entity := line.get("set"):
        update = Update(line["from"], line["to"], line["fields"])
        journal.updates.setdefault((str(entity), str(line["id"])), []).append(update)
    elif entity := line.get("gone"):
        journal.gone.add((str(entity), str(line["id"])))
    else:
        raise ValueError("a line of an unknown kind")


def fingerprint(value: Any, salt: str) -> str:
    """A short hash of a value, the same for 5, 5.0 and "5.00": a CRM may give back any of them."""
    text = str(value)
    with suppress(ValueError):
        text = repr(float(text))
    return hashlib.blake2s(text.encode(), key=salt.encode()[:32], digest_size=8).hexdigest()
