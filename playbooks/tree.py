"""Directory trees: size, copying, and the SHA-256 of every file."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crmops.errors import CannotRun

_THREADS = 2


def files_of(root: Path) -> Iterator[Path]:
    """Every regular file below ``root``, as a path relative to it."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink() and path.is_file():
                yield path.relative_to(root)


def size_of(root: Path) -> int:
    """Bytes of all files below ``root``."""
    return sum((root / each).stat().st_size for each in files_of(root))


def free_space(place: Path) -> int:
    """Bytes that may still be written where ``place`` is, or would be."""
    while not place.exists():
        place = place.parent
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def need_space(place: Path, wanted: int, what: str) -> None:
    """Raise CannotRun if fewer than ``wanted`` bytes are free at ``place``."""
    free = free_space(place)
    if free < wanted:
        raise CannotRun(
            f"{what} needs {wanted / 1e6:.0f} MB at {place}, {free / 1e6:.0f} MB are free",
            hint="Make room there, or set drills.directory and drills.scratch elsewhere.",
        )


def copy_tree(source: Path, target: Path) -> int:
    """Copy a tree of directories and regular files; bytes copied.  Modes are kept.

    Raises CannotRun for anything else, such as a symbolic link to a tablespace.
    """
    pairs = []
    for folder, folders, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(mode=0o700, exist_ok=True)
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_symlink():
                raise CannotRun(f"{path} is a symbolic link: tablespaces are not supported")
        pairs += [(Path(folder, name), place / name) for name in names]
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            return sum(pool.map(_copy, pairs))
    except OSError as error:
        raise CannotRun(f"{error.filename} cannot be copied: {error.strerror}") from error


def move_tree(source: Path, target: Path) -> None:
    """Move a tree, by rename where both lie on one file system."""
    if source.stat().st_dev == target.parent.stat().st_dev:
        source.rename(target)
        return
    copy_tree(source, target)
    shutil.rmtree(source)


def bring_tree(source: Path, target: Path) -> int:
    """Move a tree that was unpacked beside its target, copy any other; bytes that lie there."""
    if source.is_relative_to(target.parent):
        source.rename(target)
        return size_of(target)
    return copy_tree(source, target)


def hash_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_tree(root: Path) -> dict[str, str]:
    """SHA-256 of every file below ``root``, by relative path."""
    names = sorted(str(each) for each in files_of(root))
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(names, pool.map(lambda name: hash_file(root / name), names), strict=True))


def differences(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Which files are missing, changed or not expected, as lines for a person."""
    lines = [f"{name} is missing" for name in wanted if name not in found]
    lines += [f"{name} was not backed up" for name in found if name not in wanted]
    lines += [
        f"{name} has changed"
        for name, digest in wanted.items()
        if name in found and found[name] != digest
    ]
    return sorted(lines)


def _copy(pair: tuple[Path, Path]) -> int:
    source, target = pair
    shutil.copyfile(source, target)
    shutil.copymode(source, target)
    return target.stat().st_size
