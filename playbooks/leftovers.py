"""Finding and removing what a killed backup or drill left: processes, directories, its job.

Every child carries the job's id in its environment or works below the job's scratch directory,
whose name holds the id.  Nothing is ever looked for by a program's name.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from crmops.errors import CannotRun
from crmops.history.owner import gone, me
from playbooks.job import JOB_VARIABLE, MARKER, Job, load_remains, write_atomically

_SCRATCH = re.compile(r"crmops-[0-9a-z]{16}")
_ASKED = 3.0
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Removed:
    """What was found of a job whose process is gone; ``stage`` is the one that was under way."""

    job_id: str
    processes: int
    scratch: Path
    stage: str = ""


def scratch_name(job_id: str) -> str:
    """Name of a job's scratch directory: short, because socket paths end at 107 bytes."""
    return f"crmops-{job_id[-16:].lower()}"


def make_scratch(job: Job) -> None:
    """Create the scratch directory with its marker.  Raises CannotRun if the path is taken."""
    try:
        job.scratch.mkdir(mode=0o700)
        write_atomically(job.scratch / MARKER, job.id)
    except OSError as error:
        raise CannotRun(
            f"{job.scratch} cannot be created: {error.strerror}",
            hint="Set drills.scratch to a directory that can be written.",
        ) from error


def own(job: Job) -> None:
    """Note which process the job belongs to, before anything else exists of it."""
    job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(job.folder / "owner", me())


def tear_down(job: Job) -> int:
    """End every process of a job and remove its scratch directory; how many were ended.

    Raises CannotRun when the directory is not marked as the job's: it is left as it is.
    """
    ended = end_processes(job)
    remove_scratch(job)
    return ended


def sweep(jobs: Path) -> list[Removed]:
    """Tear down every job below ``jobs`` whose process is gone."""
    removed = []
    for folder in sorted(jobs.iterdir()) if jobs.is_dir() else []:
        if _alive(folder):
            continue
        with contextlib.suppress(CannotRun):
            job = load_remains(folder / "job.json")
            stage = job.underway()
            removed.append(Removed(job.id, tear_down(job), job.scratch, stage))
            shutil.rmtree(job.partial, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    return removed


def end_processes(job: Job) -> int:
    """End every process of a job: first asked, then forced.  Returns how many there were."""
    found = processes_of(job)
    for process in found:
        _signal(process, signal.SIGQUIT if _is_postgres(process) else signal.SIGTERM)
    _, alive = psutil.wait_procs(found, timeout=_ASKED if found else 0)
    deadline = time.monotonic() + _PATIENCE
    while alive and time.monotonic() < deadline:
        for process in alive:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=1)
        alive = processes_of(job)
    return len(found)


def processes_of(job: Job) -> list[psutil.Process]:
    """The living processes of a job, this one excepted."""
    mark, scratch = job.id, str(job.scratch)
    mine = os.getpid()
    return [
        process
        for process in psutil.process_iter()
        if process.pid != mine and _belongs(process, mark, scratch)
    ]


def _belongs(process: psutil.Process, mark: str, scratch: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.environ().get(JOB_VARIABLE) == mark:
            return True
        if any(scratch in argument for argument in process.cmdline()):
            return True
        return Path(process.cwd()).is_relative_to(scratch)
    except (psutil.Error, OSError):
        return False


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def remove_scratch(job: Job) -> None:
    """Remove a job's scratch directory, if it is there and marked as its own."""
    place = job.scratch
    if not place.exists() and not place.is_symlink():
        return
    if place.is_symlink() or not _SCRATCH.fullmatch(place.name):
        raise CannotRun(f"{place} is no scratch directory of ours: left as it is")
    if not any(place.iterdir()):
        place.rmdir()
        return
    marker = place / MARKER
    if not marker.is_file() or marker.read_text(encoding="utf-8") != job.id:
        raise CannotRun(f"{place} does not bear the mark of job {job.id}: left as it is")
    shutil.rmtree(place)


def _alive(folder: Path) -> bool:
    try:
        return gone((folder / "owner").read_text(encoding="utf-8")) is not True
    except (OSError, ValueError):
        return False
