"""The second copy of a backup: copied so that it can go on where it broke off, and read again.

<offsite>/<target>/.<backup id>.partial/   while it is being copied
<offsite>/<target>/<backup id>/            once every file was read again and is right
    data/, wal/, crmops-backup.json        the log comes along: the folder is a whole backup
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from crmops.errors import CannotRun, ConfigError
from playbooks.catalogue import MANIFEST, Manifest
from playbooks.job import Job
from playbooks.tree import hash_file

_CHUNK = 1 << 20
_THREADS = 2


@dataclass(frozen=True, slots=True)
class Copied:
    """Bytes that were written now, and files that were there, whole or in part."""

    bytes: int
    continued: int


def stored_files(manifest: Manifest) -> dict[str, str]:
    """SHA-256 of every file of a whole backup, by its path, as the manifest vouches for it."""
    if manifest.encrypted is not None:
        return dict(manifest.encrypted.files)
    data = {f"data/{name}": digest for name, digest in manifest.files.items()}
    return data | {f"wal/{name}": digest for name, digest in manifest.segments.items()}


def sources(folder: Path, archive: Path | None, manifest: Manifest) -> dict[str, Path]:
    """Where each file of a backup lies here: the log of a plain one still in the archive."""
    found = {}
    for name in stored_files(manifest):
        place = folder / name
        if name.startswith("wal/") and manifest.encrypted is None and archive is not None:
            place = archive / name.removeprefix("wal/")
        found[name] = place
    return found


def second_place(job: Job) -> Path:
    """The configured directory.

    Raises ConfigError when none is named, CannotRun when it is not there (a mount that is
    missing looks like an empty directory's absence) or lies in a place of others.
    """
    place = job.settings.backup.offsite
    if place is None:
        raise ConfigError(
            "no second place is configured",
            hint="Set drills.backup.offsite to a directory or mount of another host or disk.",
        )
    if not place.is_dir():
        raise CannotRun(
            f"the second place {place} is not there",
            hint="Mount it, or make the directory: crmops does not, lest a missing mount be "
            "mistaken for it.",
        )
    taken = (job.source_data, job.archive, None if job.offsite else job.backup.parent)
    for each in (Path(other).resolve() for other in taken if other):
        here = place.resolve()
        if here.is_relative_to(each) or each.is_relative_to(here):
            raise CannotRun(
                f"{place} is no second place: it overlaps with {each}",
                hint="Set drills.backup.offsite to a directory or mount of another host or disk.",
            )
    return place


def copy_files(found: Mapping[str, Path], target: Path) -> Copied:
    """Copy files to their path below ``target``, going on where an earlier copy broke off."""
    for each in sorted({(target / name).parent for name in found}):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ThreadPoolExecutor(_THREADS) as pool:
        done = list(pool.map(lambda each: copy_on(found[each], target / each), sorted(found)))
    return Copied(sum(each.bytes for each in done), sum(each.continued for each in done))


def copy_on(source: Path, target: Path) -> Copied:
    """Copy one file; what lies there of it already is kept if it is the same.

    Raises CannotRun with the name of the file that could not be read or written.
    """
    try:
        size = source.stat().st_size
        partial = target.with_name(f".{target.name}.part")
        if target.exists():
            if target.stat().st_size == size and hash_file(target) == hash_file(source):
                return Copied(0, 1)
            target.rename(partial)
        begun = min(partial.stat().st_size, size) if partial.exists() else 0
        written = _append(source, partial, begun)
        if begun and hash_file(partial) != hash_file(source):
            written = _append(source, partial, 0)
            begun = 0
        partial.rename(target)
    except OSError as error:
        raise CannotRun(f"{error.filename or source} was not copied: {error.strerror}") from error
    return Copied(written, int(begun > 0))


def copy_directories(source: Path, target: Path) -> None:
    """The same directories, empty ones too: PostgreSQL does not start without them."""
    for folder, _, _ in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)


def differing(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """Which files are missing, altered or strange, each read again from its medium."""
    with ThreadPoolExecutor(_THREADS) as pool:
        lines = pool.map(lambda name: _look_at(folder / name, name, wanted[name]), sorted(wanted))
        wrong = [each for each in lines if each]
    there = {str(e.relative_to(folder)) for e in folder.rglob("*") if not e.is_dir()}
    return wrong + [f"{each} was not backed up" for each in sorted(there - {*wanted, MANIFEST})]


def seal_copy(partial: Path, place: Path, manifest: Path) -> None:
    """Give a copy that is whole its manifest and its name."""
    shutil.copyfile(manifest, partial / MANIFEST)
    for each in (partial / MANIFEST, partial):
        _sync(each)
    partial.rename(place)
    _sync(place.parent)


def _look_at(path: Path, name: str, wanted: str) -> str:
    try:
        _forget_pages(path)
        return "" if hash_file(path) == wanted else f"{name} has changed"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def _forget_pages(path: Path) -> None:
    """Ask the system to read the file anew: its memory is no witness for the medium."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _append(source: Path, partial: Path, begun: int) -> int:
    with source.open("rb") as read, partial.open("r+b" if begun else "wb") as write:
        read.seek(begun)
        write.seek(begun)
        written = 0
        while piece := read.read(_CHUNK):
            written += write.write(piece)
        write.truncate()
        write.flush()
        os.fsync(write.fileno())
    return written


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
