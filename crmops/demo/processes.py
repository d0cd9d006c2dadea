"""The processes of a rehearsal: started with a log, watched, stopped by pid, never forgotten."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from crmops.errors import CannotRun

STOP_PATIENCE = 20.0
"""Seconds between asking a process to stop and killing it: PostgreSQL writes a checkpoint."""


@dataclass
class Child:
    """One process and where it writes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stream: IO[bytes]

    @property
    def gone(self) -> str:
        """How it ended, in words; nothing while it lives."""
        code = self.process.poll()
        if code is None:
            return ""
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


class Processes:
    """Everything that was started.  A journal on disk lets the next run find what was left."""

    def __init__(self, logs: Path, journal: Path) -> None:
        self._logs = logs
        self._journal = journal
        self._children: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: dict[str, str] | None = None,
        stdout: Path | None = None,
    ) -> Child:
        """Start a command in a session of its own, its output in ``logs/<name>.log``.

        With ``stdout`` its standard output goes there.  Raises CannotRun if it cannot start.
        """
        log = self._logs / f"{name}.log"
        stream = log.open("ab")
        out = stdout.open("wb") if stdout else None
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out or stream,
                stderr=stream,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            stream.close()
            raise CannotRun(f"{name} cannot be started: {error.strerror}") from error
        finally:
            if out:
                out.close()
        child = Child(name, process, log, stream)
        self._children.append(child)
        self._write_journal()
        return child

    def lost(self, *, besides: Child | None = None) -> list[Child]:
        """Servers that have ended though nobody stopped them."""
        return [each for each in self._children if each is not besides and each.gone]

    def stop(self, child: Child) -> None:
        """Stop one process and its children, and forget it."""
        stop_tree([child.process.pid], wait=child.process)
        child.stream.close()
        if child in self._children:
            self._children.remove(child)
        self._write_journal()

    def forget(self, child: Child) -> None:
        """A process that ended by itself needs no stopping; what it left behind does."""
        self.stop(child)

    def stop_all(self) -> None:
        """Stop everything, the newest first."""
        for child in reversed(list(self._children)):
            self.stop(child)
        self._journal.unlink(missing_ok=True)

    def _write_journal(self) -> None:
        rows = []
        for each in self._children:
            with contextlib.suppress(psutil.NoSuchProcess):
                began = psutil.Process(each.process.pid).create_time()
                rows.append({"name": each.name, "pid": each.process.pid, "begun": began})
        partial = self._journal.with_suffix(".partial")
        partial.write_text(json.dumps(rows))
        partial.rename(self._journal)


def stop_left_behind(journal: Path) -> list[str]:
    """Stop what a killed rehearsal has left running; returns the names."""
    try:
        rows = json.loads(journal.read_text())
    except (OSError, ValueError):
        return []
    stopped = []
    for row in reversed(rows):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(row["pid"])
            if abs(process.create_time() - row["begun"]) < 0.05:
                stop_tree([row["pid"]])
                stopped.append(row["name"])
    journal.unlink(missing_ok=True)
    return stopped


def stop_tree(pids: Sequence[int], wait: subprocess.Popen[bytes] | None = None) -> None:
    """Ask processes to stop, wait, kill them and every descendant that outlives them.

    ``wait`` is the handle of a child of our own: only it may fetch that child's exit code.
    """
    own = wait.pid if wait else 0
    family = [each for pid in pids for each in _family(pid) if each.pid != own]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    if wait is not None:
        _end(wait)
    _, alive = psutil.wait_procs(family, timeout=STOP_PATIENCE if wait is None else 3)
    for each in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(alive, timeout=5)


def stop_inside(folder: Path, patience: float = 10.0) -> list[str]:
    """Stop every process whose command line names our own folder; returns what they were.

    PostgreSQL is nobody's child: when the CRM that began it was killed, this finds it.  SIGINT is
    its word for a fast shutdown.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and str(folder) in " ".join(process.cmdline()):
                found.append(process)
    names = []
    for process in found:
        with contextlib.suppress(psutil.Error):
            names.append(process.name())
            process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(found, timeout=patience)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return names


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def wait_for_file(path: Path, child: Child, patience: float) -> dict[str, object]:
    """The JSON that a process writes when it is ready.  Raises CannotRun if it ends or is late."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if path.exists():
            found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
            return found
        if child.gone:
            raise CannotRun(
                f"{child.name} {child.gone} before it was ready: {last_words(child.log)}",
                hint=f"Its log is {child.log}.",
            )
        time.sleep(0.05)
    raise CannotRun(
        f"{child.name} was not ready within {patience:.0f} s", hint=f"Its log is {child.log}."
    )


def last_words(log: Path) -> str:
    """The line of a log that says most: the last error, else the last line."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    except OSError:
        return "it wrote nothing"
    lines = [line for line in lines if line]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["it wrote nothing"])[-1].removeprefix("error:").strip()[:300]
