"""The isolated instance that a drill starts on a restored copy."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psycopg

from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.postgres import run_tool
from playbooks.source import copy_connection, one_row

PROMOTED = b"select not pg_is_in_recovery()"
PAUSED = b"select pg_is_in_recovery() and pg_get_wal_replay_pause_state() = 'paused'"
_NO_ROOM = ("No space left on device", "File too large", "Disk quota exceeded")
"""That the disk is full says nothing about the backup."""

_POLL = 0.05
_STOP_SECONDS = 15.0
_PID_SECONDS = 30.0


def start(job: Job) -> int:
    """Start the instance in the background; returns its pid.

    It listens on a socket in the scratch directory and nowhere else.  Raises CheckFailed or
    CannotRun, with its reason, when it ends before it has written its pid.
    """
    job.sockets.mkdir(mode=0o700, exist_ok=True)
    osuser.give(job.sockets, osuser.substitute())
    done = run_tool(job, "pg_ctl", "-D", job.data, "-W", "-l", log_of(job), "start", seconds=60)
    if done.code != 0:
        raise CannotRun(f"the restored instance was not started: {done.last_line}")
    deadline = time.monotonic() + _PID_SECONDS
    while time.monotonic() < deadline:
        pid = _recorded_pid(job.data)
        if pid is not None:
            return pid
        if fatal_line(job):
            break
        time.sleep(_POLL)
    raise _why_it_died(job)


def require_alive(job: Job) -> None:
    """Raise CannotRun or CheckFailed, with the reason, when the instance has ended meanwhile.

    A server that lost a process to a signal starts anew by itself; what it says since is not to
    be trusted as evidence, so that counts as well.
    """
    death = death_of(job)
    if death is not None:
        raise death


def death_of(job: Job) -> CannotRun | CheckFailed | None:
    """Why the instance that was started has ended or lost a process; None if it is well."""
    if not log_of(job).exists():
        return None
    pid = _recorded_pid(job.data)
    ended = pid is None or not alive(pid, job.data)
    return _why_it_died(job) if ended or killed_child(job) else None


def wait_until(job: Job, pid: int, user: str, state: bytes) -> None:
    """Wait until a query (PROMOTED or PAUSED) says yes: recovery has reached its target.

    Raises CheckFailed with the server's reason when it gave up, CannotRun when it was killed
    or is too slow.  A server that merely answers may still be recovering.
    """
    seconds = job.settings.recovery_wait
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not alive(pid, job.data):
            raise _why_it_died(job)
        if (job.sockets / ".s.PGSQL.5432").exists() and _says_yes(job, user, state):
            return
        time.sleep(_POLL)
    raise CannotRun(
        f"recovery did not end within {seconds:.0f} s", hint="Raise drills.recovery_wait."
    )


def stop(job: Job) -> bool:
    """Stop the instance at once, by its pid; whether one was running.  Its data is forfeit."""
    pid = _recorded_pid(job.data)
    if pid is None or not alive(pid, job.data):
        return False
    for number in (signal.SIGQUIT, signal.SIGKILL):
        os.kill(pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            if not alive(pid, job.data):
                return True
            time.sleep(_POLL)
    raise CannotRun(f"the scratch instance (pid {pid}) does not end")


def alive(pid: int, data: Path) -> bool:
    """Whether the process is there and is the server of that directory."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and os.fsencode(data) in command


def log_of(job: Job) -> Path:
    """The instance's log."""
    return job.scratch / "instance.log"


def fatal_line(job: Job) -> str:
    """The last reason that the server gave for ending, or nothing."""
    found = [each for each in _lines(job) if "FATAL:" in each or "PANIC:" in each]
    found = [each for each in found if "the database system is" not in each]
    return found[-1].split(":  ", 1)[-1].strip() if found else ""


def killed_child(job: Job) -> str:
    """What the server says of a process of its own that was killed, or nothing."""
    found = [each for each in _lines(job) if "was terminated by signal" in each]
    return found[-1].split(":  ", 1)[-1].strip() if found else ""


def _full_disk(job: Job) -> str:
    """The first line, also of restore_command, that says that there is no room; or nothing.

    It may be long before the line that says why the server ended.
    """
    found = [line for line in _lines(job) if any(each in line for each in _NO_ROOM)]
    return found[0].split(":  ", 1)[-1].strip()[:200] if found else ""


def _lines(job: Job) -> list[str]:
    try:
        return log_of(job).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _why_it_died(job: Job) -> CannotRun | CheckFailed:
    killed, fatal = killed_child(job), fatal_line(job)
    if full := _full_disk(job):
        return CannotRun(
            f"the restored instance ran out of room: {full}",
            hint="Make room at drills.scratch, or set it elsewhere.",
        )
    if killed:
        return CannotRun(f"the restored instance was killed: {killed}")
    if fatal:
        return CheckFailed(f"the restored instance gave up: {fatal}")
    return CannotRun("the restored instance was killed: it ended without a word")


def _says_yes(job: Job, user: str, state: bytes) -> bool:
    try:
        with copy_connection(job, "template1", user) as connection:
            return one_row(connection, state)[0] is True
    except (CannotRun, psycopg.Error):
        return False


def _recorded_pid(data: Path) -> int | None:
    try:
        first = (data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else None
