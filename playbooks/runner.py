"""Running a playbook: a clean child process, live progress, a timeout, and no child left."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crmops.binaries import environment_name
from crmops.errors import CannotRun
from playbooks.job import JOB_VARIABLE, STAGE_TMPDIR, Job, write_atomically
from playbooks.leftovers import end_processes
from playbooks.osuser import VARIABLE

PROJECT = Path(__file__).resolve().parent
"""Where the playbooks and roles lie."""

INVENTORY = PROJECT / "inventories" / "local.yml"
_TOOLS = ("pgbackrest", "barman", "rsync", "restic", "mariadbd", "mariadb", "mariadb_backup",
          "mariadb_binlog")  # fmt: skip
_PASSED_ON = (
    VARIABLE, "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", *map(environment_name, _TOOLS),
)  # fmt: skip
_GRACE = 20.0
_POLL = 0.005
_LITTLE = 1 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task: begun, ok, failed or skipped; ``seconds`` it took."""

    what: str
    task: str
    seconds: float | None
    message: str = ""


@dataclass(slots=True)
class Ending:
    """How a playbook ended: ``status`` is ansible-runner's, or ``killed``; the log is filtered.

    ``refusal`` is the first message of a playbook that refused to go on.
    """

    status: str = "killed"
    refusal: str = ""
    log: list[str] = field(default_factory=list)


Progress = Callable[[Event], None]
Player = Callable[[Job, str, str, Progress], Ending]
"""Carries a playbook out on a job: (job, playbook, role, progress)."""


def run_playbook(job: Job, playbook: str, role: str, progress: Progress) -> Ending:
    """Run a playbook on a job and end every process of the job afterwards, whatever happens.

    Raises CannotRun when the child cannot be started.
    """
    private = job.folder / "runner"
    private.mkdir(mode=0o700)
    spec = _spec(job, playbook, role, private)
    write_atomically(job.folder / "spec.json", json.dumps(spec))
    with (job.folder / "runner.log").open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "playbooks.child", str(job.folder / "spec.json")],
            cwd=private,
            env=_with_own_temporaries(child_environment(job, private), private),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    ending = Ending()
    try:
        _follow(child, ending, progress)
    finally:
        _end(child)
        end_processes(job)
    if ending.status == "killed":
        _explain(job)
    return ending


def play_apart(job: Job, stage: str, *, kill: bool = False, full: bool = False) -> None:
    """Play one stage in a process of its own, as a playbook does, and let it come to harm.

    ``kill``: SIGKILL when it has begun.  ``full``: it can write no file beyond a MiB, as on a disk
    that is full; so can none of its children.  Whatever happens, the process is gone afterwards.
    """
    path = job.save()
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "playbooks.step", str(path), stage],
        cwd=job.folder,
        env=child_environment(job, job.folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        if full:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (_LITTLE, _LITTLE))
        while kill and child.poll() is None and job.underway() != stage:
            time.sleep(_POLL)
        if kill:
            child.kill()
        child.wait(job.settings.timeout)
    except subprocess.TimeoutExpired:
        raise CannotRun(f"stage {stage} did not end") from None
    finally:
        child.kill()
        child.wait()


def _follow(child: subprocess.Popen[bytes], ending: Ending, progress: Progress) -> None:
    if child.stdout is None:
        return
    for line in child.stdout:
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if "end" in found:
                ending.status = str(found["end"])
                continue
            event = Event(found["what"], found["task"], found["seconds"], found["message"])
            ending.refusal = ending.refusal or event.message
            if event.what != "begun":
                took = f" {event.seconds:.2f} s" if event.seconds is not None else ""
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                said = f": {event.message}" if event.message else ""
                ending.log.append(f"{now} {event.what:7} {event.task}{took}{said}")
            progress(event)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Closing its input makes the child cancel the playbook; force is for one that hangs."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _spec(job: Job, playbook: str, role: str, private: Path) -> dict[str, object]:
    return {
        "private": str(private),
        "project": str(PROJECT),
        "inventory": str(INVENTORY),
        "playbook": playbook,
        "variables": {
            f"{role}_job": str(job.folder / "job.json"),
            f"{role}_scratch": str(job.scratch),
            "crmops_job_given": True,
            f"{role}_audit": bool(job.settings.audits.suites),
        },
        "environment": {
            "ANSIBLE_HOME": str(private / "home"),
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(private / "tmp"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_RETRY_FILES_ENABLED": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_DEVEL_WARNING": "false",
        },
        "timeout": int(job.settings.timeout),
    }


def child_environment(job: Job, private: Path) -> dict[str, str]:
    """A child's whole environment: none of ours, which may hold secrets."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    here = Path(sys.executable).parent
    return {
        "PATH": f"{here}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": str(private),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        JOB_VARIABLE: job.id,
        **passed,
    }


def _with_own_temporaries(environment: dict[str, str], private: Path) -> dict[str, str]:
    """Ansible unpacks its modules into the temporary directory; killed, it leaves them there.

    So it gets one that goes with the job; a stage, and what it starts, has the ordinary one.
    """
    own = private / "unpacked"
    own.mkdir(mode=0o700)
    given = environment.get("TMPDIR", "")
    return {**environment, "TMPDIR": str(own), STAGE_TMPDIR: given}


def _explain(job: Job) -> None:
    """Raise CannotRun when the child said why it gave up; a killed one says nothing."""
    log = (job.folder / "runner.log").read_text(encoding="utf-8", errors="replace")
    lines = [each.strip() for each in log.splitlines() if each.strip()]
    if "No module named 'ansible_runner'" in log:
        raise CannotRun(
            "Ansible is not installed", hint="Install it: pip install 'crmops[drills]'."
        )
    if lines and "Error" in lines[-1]:
        raise CannotRun(f"Ansible could not be run: {lines[-1][:200]}", hint="Try crmops doctor.")
