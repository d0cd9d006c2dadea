"""Files that prove something: written beside their name, synced, renamed, hashed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from crmops.errors import HistoryError
from crmops.record import Evidence

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class Artifacts:
    """The directory of evidence, one folder a run.

    A process that runs as root gives what it writes to the directory's owner, so that the
    unprivileged server can read it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, run_id: str) -> Path:
        """The run's own folder, made on first use."""
        path = self.root / run_id
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(path, error) from error
        self._hand_over(path)
        return path

    def attach(self, run_id: str, name: str, content: bytes | str | Path) -> Evidence:
        """Store content (or a copy of a file) under a name and return its evidence.

        Raises ValueError for a name that is not a plain file name, HistoryError if the disk
        refuses.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no plain file name")
        final = self.folder(run_id) / name
        partial = final.with_name(f".{name}.partial")
        try:
            digest, size = _write(partial, content)
            self._hand_over(partial)
            partial.rename(final)
            _sync_folder(final.parent)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise _refused(final, error) from error
        return Evidence(path=f"{run_id}/{name}", sha256=digest, bytes=size)

    def path(self, evidence: Evidence) -> Path:
        """Where a piece of evidence lies; raises HistoryError for a path that leads outside."""
        path = (self.root / evidence.path).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise HistoryError(f"evidence path {evidence.path!r} leads outside the artifacts")
        return path

    def intact(self, evidence: Evidence) -> bool:
        """Whether the file is there and still has the recorded hash."""
        try:
            with self.path(evidence).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == evidence.sha256
        except OSError:
            return False

    def forget(self, run_id: str) -> None:
        """Remove a run's folder."""
        shutil.rmtree(self.root / run_id, ignore_errors=True)

    def _hand_over(self, path: Path) -> None:
        if os.geteuid() == 0:
            owner = self.root.stat()
            os.chown(path, owner.st_uid, owner.st_gid)


def _write(path: Path, content: bytes | str | Path) -> tuple[str, int]:
    with path.open("wb") as stream:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, stream, 1 << 20)
        else:
            stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return digest, stream.tell()


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(path: Path, error: OSError) -> HistoryError:
    return HistoryError(
        f"cannot write {path}: {error.strerror or error}",
        hint="Give the state directory free space and write permission, or set history.artifacts.",
    )
