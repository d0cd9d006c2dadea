"""Journals on their way from workers to the master: in pieces, each said again until it is kept."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.journal import NAME, JournalWriter

PIECE = 256 * 1024
_KNOWN = re.compile(r"[0-9]{2,}-[0-9]{1,4}-" + re.escape(NAME))


class JournalKeeper:
    """The master's side: puts the pieces together in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handles: dict[str, int] = {}

    def keep(self, name: str, at: int, body: bytes) -> int:
        """Add a piece that begins at byte ``at``; returns how many bytes are kept.

        What is there already is not written again, what leaves a gap not at all.  Raises
        ValueError for a name that is no journal's.
        """
        if _KNOWN.fullmatch(name) is None:
            raise ValueError("no name of a journal")
        if name not in self._handles:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._handles[name] = os.open(self._folder / name, flags, 0o600)
        handle = self._handles[name]
        size = os.fstat(handle).st_size
        if at <= size < at + len(body):
            os.write(handle, body[size - at :])
            os.fdatasync(handle)
        return os.fstat(handle).st_size

    def close(self) -> None:
        """Close the files."""
        while self._handles:
            os.close(self._handles.popitem()[1])


class Offset(NamedTuple):
    """How the master's steady clock differs from ours, and by how much that may be wrong."""

    ahead: float = 0.0
    error: float = 0.0


class WorkersJournal(JournalWriter):
    """A journal whose times are the master's, so that those of several machines compare."""

    def __init__(self, path: Path, salt: str, offset: Offset) -> None:
        super().__init__(path, salt)
        self._offset = offset
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def updated(
        self,
        entity: str,
        record_id: str,
        fields: Mapping[str, Any],
        begun: float,
        ended: float | None = None,
    ) -> None:
        """An update, from the earliest to the latest moment that it may have been at."""
        ahead, error = self._offset
        end = None if ended is None else ended + ahead + error
        super().updated(entity, record_id, fields, begun + ahead - error, end)


class Shipment:
    """The worker's side: the journals of one run in a folder, and how much the master has of each.

    Besides the worker's own these are what another worker of this machine, killed before, has
    left behind.
    """

    def __init__(self, folder: Path, own: str) -> None:
        self.folder, self.own = folder, own
        self._kept = {path.name: 0 for path in folder.glob(f"*{NAME}") if _is_left(path)}
        self._kept[own] = 0

    def kept(self, name: str, size: int) -> None:
        """The master has so much of a journal."""
        if name in self._kept:
            self._kept[name] = max(self._kept[name], size)

    def pieces(self) -> list[dict[str, Any]]:
        """The next piece of each journal of which the master does not have all."""
        found = []
        for name, at in self._kept.items():
            with suppress(FileNotFoundError), (self.folder / name).open("rb") as stream:
                stream.seek(at)
                if body := stream.read(PIECE):
                    found.append({"name": name, "at": at, "body": body})
        return found

    def rest(self) -> str:
        """Where the journal is that the master does not have all of; nothing if it has."""
        return str(self.folder / self.own) if self.pieces() else ""

    def clear(self) -> None:
        """Take away what the master has."""
        unfinished = {each["name"] for each in self.pieces()}
        for name in self._kept.keys() - unfinished:
            (self.folder / name).unlink(missing_ok=True)
        for path in self.folder.glob("file*"):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def _is_left(path: Path) -> bool:
    """Whether nobody writes a journal any longer."""
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
