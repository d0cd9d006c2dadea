"""Where a rehearsal happens: its own state below ``.crmops/demo``, servers in one temporary place.

A database server that root starts runs as another user, who must be able to reach its files; a
clone below root's home cannot give it that.  So what the servers need lies in one temporary
directory, which is removed at the end; what is evidence lies below ``.crmops/demo`` and stays.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crmops.demo.processes import stop_inside, stop_left_behind
from crmops.errors import AlreadyRunning, CannotRun

STATE = Path(".crmops")
LEAST_FREE = 2 << 30
"""Bytes: the database, its backup and its restored copy, with room for their logs."""


@dataclass(frozen=True)
class Place:
    """The directories of one rehearsal."""

    state: Path
    scratch: Path

    @property
    def config(self) -> Path:
        """The configuration that the rehearsal writes; usable afterwards with ``--config``."""
        return self.state / "crmops.yaml"

    @property
    def logs(self) -> Path:
        """What the servers and stages wrote."""
        return self.state / "logs"

    @property
    def journal(self) -> Path:
        """What is running, for the next run to find."""
        return self.state / "processes.json"


def server_user() -> tuple[int, int] | None:
    """The user and group that servers run as when we are root; None for anybody else."""
    if os.geteuid() != 0:
        return None
    name = os.environ.get("CRMOPS_OS_USER") or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise CannotRun(
            f"there is no user {name!r} to run servers as", hint="Set CRMOPS_OS_USER."
        ) from None
    return entry.pw_uid, entry.pw_gid


@contextmanager
def rehearsal_place(root: Path) -> Iterator[Place]:
    """A clean place, for us alone.

    Stops and removes what a killed rehearsal has left.  Raises AlreadyRunning if one is going on,
    CannotRun if the disk is full or not to be written.
    """
    state = (root / STATE / "demo").resolve()
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = os.open(state.parent / "demo.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CannotRun(
            f"cannot write {error.filename}: {error.strerror}",
            hint="Run it in a directory of your own that can be written.",
        ) from error
    try:
        _take(lock)
        _demand_space(state)
        _sweep(state)
        scratch = _scratch(state)
        try:
            yield Place(state, scratch)
        finally:
            stop_inside(scratch)
            shutil.rmtree(scratch, ignore_errors=True)
            (state / "scratch").unlink(missing_ok=True)
    finally:
        os.close(lock)


def _take(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(lock, 20, 0).decode().strip() or "unknown"
        raise AlreadyRunning(
            f"a rehearsal is going on here already (pid {pid})",
            hint="Wait for it, stop it with Ctrl-C, or run this one in another directory.",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _sweep(state: Path) -> None:
    """Whatever an earlier rehearsal has left: processes, the temporary place, its evidence."""
    stop_left_behind(state / "processes.json")
    note = state / "scratch"
    if note.exists():
        old = Path(note.read_text().strip())
        if old.name.startswith("crmops-demo-") and not old.is_symlink():
            stop_inside(old)
            shutil.rmtree(old, ignore_errors=True)
    for each in state.iterdir():
        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    (state / "logs").mkdir()


def _scratch(state: Path) -> Path:
    scratch = Path(tempfile.mkdtemp(prefix="crmops-demo-"))
    if os.geteuid() == 0:
        scratch.chmod(0o711)  # our own: the servers' user passes through, nobody lists it
    (state / "scratch").write_text(str(scratch))
    return scratch


def _demand_space(state: Path) -> None:
    for path in (state, Path(tempfile.gettempdir())):
        free = shutil.disk_usage(path).free
        if free < LEAST_FREE:
            raise CannotRun(
                f"{path} has {free >> 20} MiB free, a rehearsal wants {LEAST_FREE >> 20}",
                hint="Make space, or set TMPDIR to a directory with more.",
            )


def owned_folder(path: Path) -> Path:
    """A new directory that belongs to the servers' user."""
    path.mkdir()
    user = server_user()
    if user:
        os.chown(path, *user)
    return path


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
