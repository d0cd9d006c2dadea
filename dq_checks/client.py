"""The parent's side of the worker: started once, given suites one by one, stopped by its pid."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import IO, Self, TypeVar, cast

from pydantic import BaseModel, ValidationError

from crmops.errors import CannotRun
from dq_checks.lake import sweep
from dq_checks.messages import Answer, Audited, Failed, Job, Progress, Ready

Wanted = TypeVar("Wanted", Ready, Audited)
Seen = Callable[[str], None]

_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_", "LD_LIBRARY_PATH", "PG", "PYTHON", "SSL_", "TMPDIR",
    "JAVA_", "CRMOPS_JAVA", "SPARK_", "HADOOP_",
)  # fmt: skip
_AGAIN = "Run it again; if it dies again, look at the memory that is left (it takes 300 MB)."
_START_SECONDS = 180.0
_STOP_SECONDS = 2.0


class AuditFailed(CannotRun):
    """One suite could not be run; the worker lives and takes the next."""


class AuditWorker:
    """A worker process.  Use it as a context manager; the first job waits for its imports.

    One that died or was silent is started anew by the next job.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._ready = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The worker's process id, or None while there is none."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the process; its imports go on while we do other things."""
        self._running()

    def stop(self) -> None:
        """End the process, whatever it does, and remove what Spark wrote if it was killed."""
        child, self._child, self._ready = self._child, None, False
        if child is not None:
            child.end()
            sweep()

    def run(self, job: Job, seen: Seen, patience: float) -> Audited:
        """Run a job; ``seen`` hears of its stages and, every second, that it goes on.

        Raises AuditFailed when the suite could not be run, CannotRun when the worker died or
        was silent for ``patience`` seconds.
        """
        child = self._running()
        try:
            if not self._ready:
                seen("loading great_expectations")
                _expect(child, Ready, seen, _START_SECONDS)
                self._ready = True
            child.send(job)
            return _expect(child, Audited, seen, patience)
        except AuditFailed:
            raise
        except BaseException:  # what it would say now is the answer to nothing
            self.stop()
            raise

    def _running(self) -> _Child:
        if self._child is None:
            self._child = _Child()
        return self._child


def _expect(child: _Child, kind: type[Wanted], seen: Seen, patience: float) -> Wanted:
    stage, until = "", time.monotonic() + patience
    while True:
        said = child.next()
        if isinstance(said, kind):
            return said
        if isinstance(said, Failed):
            if said.job == 0:
                raise CannotRun(said.reason, hint=said.hint)
            raise AuditFailed(said.reason, hint=said.hint)
        if isinstance(said, Progress):
            stage, until = said.stage, time.monotonic() + patience
        if time.monotonic() > until:
            raise CannotRun(
                f"the audit worker was silent for {patience:.0f} s",
                hint="Raise dq.statement_timeout, or audit a replica: database.replica_url.",
            )
        seen(stage)


class _Child:
    """The process and the two pipes to it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dq_checks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # tracebacks of libraries quote queries and values
            env=environment(),
            start_new_session=True,  # a Ctrl-C is ours to pass on
        )
        self.pid = self._process.pid
        self._to = cast("IO[bytes]", self._process.stdin)
        self._from = cast("IO[bytes]", self._process.stdout)
        os.set_blocking(self._from.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._from, selectors.EVENT_READ)
        self._buffer = b""

    def send(self, message: BaseModel) -> None:
        """Write a message.  Raises CannotRun if nobody is there to read it."""
        try:
            self._to.write(message.model_dump_json(by_alias=True).encode() + b"\n")
            self._to.flush()
        except OSError:
            raise self._died() from None

    def next(self) -> Ready | Progress | Audited | Failed | None:
        """The next message, or None after about a second without one.

        Raises CannotRun if the process is gone or says what is no message.
        """
        if b"\n" not in self._buffer:
            self._read()
        line, end, rest = self._buffer.partition(b"\n")
        if not end:
            return None
        self._buffer = rest
        try:
            return Answer.model_validate_json(b'{"said":' + line + b"}").said
        except ValidationError:
            raise CannotRun("the audit worker said something unreadable", hint=_AGAIN) from None

    def end(self) -> None:
        """End the process: at the end of its input it leaves; if not, it is killed."""
        self._selector.close()
        with suppress(OSError):  # what was still to be written has no reader
            self._to.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._from.close()

    def _read(self) -> None:
        if not self._selector.select(1.0):
            if self._process.poll() is not None:
                raise self._died()
            return
        chunk = self._from.read(1 << 20)
        if not chunk:
            raise self._died()
        self._buffer += chunk

    def _died(self) -> CannotRun:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return CannotRun("the audit worker closed its pipe", hint=_AGAIN)
        if code < 0:
            name = signal.Signals(-code).name
            return CannotRun(f"the audit worker was killed by {name}", hint=_AGAIN)
        return CannotRun(f"the audit worker ended by itself (exit code {code})", hint=_AGAIN)


def environment() -> dict[str, str]:
    """Only what Python and the database's client library need: secrets of ours stay with us."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    return {**kept, "GX_ANALYTICS_ENABLED": "false", "PYTHONUTF8": "1"}
