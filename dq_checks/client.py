"""The parent's side of the worker: started once, given suites one by one, stopped by its pid."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from crmops.errors import CannotRun
from dq_checks.messages import Answer, Audited, Failed, Job, Progress, Ready

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_", "LD_LIBRARY_PATH", "PG", "PYTHON", "SSL_", "TMPDIR")
_DIES_HINT = "Run it again; if it dies again, look at the memory that is left (it takes 300 MB)."


class AuditFailed(CannotRun):
    """One suite could not be run; the worker lives and takes the next."""


class AuditWorker:
    """A worker process.  Use it as a context manager; the first job waits for its imports.

    ``start_timeout`` bounds the imports, ``silence`` the time between two signs of life of a
    job, in seconds.
    """

    def __init__(self, *, start_timeout: float = 180.0) -> None:
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._selector = selectors.DefaultSelector()
        self._buffer = b""
        self.versions: dict[str, str] = {}

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
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process; its imports go on while we do other things."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dq_checks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # tracebacks of libraries quote queries and values
            env=_environment(),
            start_new_session=True,  # a Ctrl-C is ours to pass on
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def stop(self) -> None:
        """End the process, whatever it does."""
        process, self._process, self._buffer = self._process, None, b""
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        self._selector.unregister(process.stdout)
        try:
            process.stdin.close()  # at the end of its input it leaves at once
            process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        process.stdout.close()

    def run(self, job: Job, seen: Callable[[str], None], patience: float) -> Audited:
        """Run a job; ``seen`` hears of its stages and, every second, that it goes on.

        Raises AuditFailed when the suite could not be run, CannotRun when the worker died or
        was silent for ``patience`` seconds; it is then stopped, and started anew by the next job.
        """
        self.start()
        try:
            if not self.versions:
                seen("loading great_expectations")
                self._expect(Ready, seen, self._start_timeout)
            self._send(job)
            answer = self._expect(Audited, seen, patience)
        except CannotRun as error:
            if not isinstance(error, AuditFailed):
                self._forget()
            raise
        except BaseException:
            self._forget()
            raise
        assert isinstance(answer, Audited)
        return answer

    def _forget(self) -> None:
        self.stop()
        self.versions = {}

    def _send(self, job: Job) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(job.model_dump_json(by_alias=True).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None

    def _expect(
        self, kind: type[Ready | Audited], seen: Callable[[str], None], patience: float
    ) -> Ready | Audited:
        stage, until = "", time.monotonic() + patience
        while True:
            said = self._next()
            if isinstance(said, Ready):
                self.versions = said.versions
            if isinstance(said, Failed):
                raise AuditFailed(said.reason, hint=said.hint)
            if isinstance(said, kind):
                return said
            if isinstance(said, Progress):
                stage, until = said.stage, time.monotonic() + patience
            if time.monotonic() > until:
                raise CannotRun(
                    f"the audit worker was silent for {patience:.0f} s",
                    hint="Raise dq.statement_timeout, or audit a replica: database.replica_url.",
                )
            seen(stage)

    def _next(self) -> Ready | Progress | Audited | Failed | None:
        """The next message, or None after a second without one."""
        process = self._process
        assert process is not None and process.stdout is not None
        if b"\n" not in self._buffer:
            if not self._selector.select(1.0):
                if process.poll() is not None:
                    raise self._died()
                return None
            chunk = process.stdout.read(1 << 20)
            if not chunk:
                raise self._died()
            self._buffer += chunk
            if b"\n" not in self._buffer:
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return Answer.model_validate_json(b'{"said":' + line + b"}").said
        except ValidationError:
            raise CannotRun("the audit worker said something unreadable") from None

    def _died(self) -> CannotRun:
        assert self._process is not None
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            code = None
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return CannotRun(f"the audit worker was killed by {name}", hint=_DIES_HINT)
        if not self.versions:
            return CannotRun(
                "the audit worker cannot start",
                hint="Is the extra installed?  `pip install 'crmops[dq]'`.",
            )
        return CannotRun(f"the audit worker ended by itself (exit code {code})", hint=_DIES_HINT)


def _environment() -> dict[str, str]:
    """Only what Python and the database's client library need: secrets of ours stay with us."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    return {**kept, "GX_ANALYTICS_ENABLED": "false", "PYTHONUTF8": "1"}
