"""Executing anything so that it leaves a record, whatever happens."""

from __future__ import annotations

import platform
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType

from crmops import __version__
from crmops.errors import CrmopsError, Interrupted
from crmops.history import History
from crmops.record import (
    Evidence,
    Finding,
    Kind,
    Measure,
    Run,
    Unit,
    Verdict,
    new_run,
    utc_now,
)
from crmops.verdict import Judgement

CLOCK_TOLERANCE = 2.0
"""Seconds by which the wall clock may disagree with the steady clock before it is a finding."""


class Execution:
    """A run in progress.  Rooms add to it; :func:`executing` stores it."""

    def __init__(self, history: History, run: Run) -> None:
        self._history = history
        self.run = run
        self.concluded = False

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def folder(self) -> Path:
        """Where the run's files lie."""
        return self._history.artifacts(self.run.id)

    def beat(self, measures: Sequence[Measure] = ()) -> None:
        """A sign of life, with the measures so far for the exporter."""
        self._history.beat(self.run.id, measures)

    def measure(self, name: str, value: float | None, unit: Unit, observed: int) -> None:
        """Add one number."""
        self.measures(Measure(name=name, value=value, unit=unit, observed=observed))

    def measures(self, *measures: Measure) -> None:
        """Add numbers."""
        self.run = self.run.with_(measures=(*self.run.measures, *measures))

    def finding(
        self,
        title: str,
        detail: str = "",
        severity: str = "warning",
        subject: str = "",
        *,
        suggestion: str = "",
    ) -> None:
        """Add something that a person must act on."""
        found = Finding(
            title=title, detail=detail, severity=severity, subject=subject, suggestion=suggestion
        )
        self.run = self.run.with_(findings=(*self.run.findings, found))

    def attach(self, name: str, content: bytes | str | Path) -> Evidence:
        """Keep a file as evidence."""
        evidence = self._history.attach(self.run.id, name, content)
        self.run = self.run.with_(evidence=(*self.run.evidence, evidence))
        return evidence

    def conclude(self, verdict: Verdict, reason: str) -> None:
        """Say how it ended.  A later word overrules only with a worse or equal right: the last."""
        self.run = self.run.with_(verdict=verdict, reason=reason)
        self.concluded = True

    def conclude_by(self, judgement: Judgement) -> None:
        """End with the verdict of a judgement."""
        self.conclude(judgement.verdict, judgement.reason)


@contextmanager
def executing(
    history: History,
    kind: Kind,
    target: str,
    subject: str,
    *,
    config_digest: str = "",
    tool_versions: dict[str, str] | None = None,
) -> Iterator[Execution]:
    """Execute the body as a Run.

    The run is stored open at once and ended whatever happens: a CrmopsError or any other
    exception ends it as ``error`` and goes on; so does an interruption (also SIGTERM, in the
    main thread); a body that ends without :meth:`Execution.conclude` is an ``error`` too.
    """
    versions = {
        "crmops": __version__,
        "python": platform.python_version(),
        **(tool_versions or {}),
    }
    run = new_run(kind, target, subject, config_digest=config_digest, tool_versions=versions)
    execution = Execution(history, history.begin(run))
    began = time.monotonic()
    try:
        with _sigterm_interrupts():
            yield execution
        if not execution.concluded:
            execution.conclude(Verdict.ERROR, "ended without a verdict")
    except BaseException as error:
        execution.conclude(Verdict.ERROR, _reason(error))
        raise
    finally:
        _end(history, execution, time.monotonic() - began)


def _reason(error: BaseException) -> str:
    if isinstance(error, (KeyboardInterrupt, Interrupted, SystemExit)):
        return "interrupted"
    if isinstance(error, CrmopsError):
        return str(error)
    return f"defect: {type(error).__name__}"


def _end(history: History, execution: Execution, seconds: float) -> None:
    """The end follows the steady clock; a wall clock that stepped is a finding."""
    run = execution.run
    ended = run.begun + timedelta(seconds=seconds)
    step = (utc_now() - ended).total_seconds()
    if abs(step) > CLOCK_TOLERANCE:
        execution.finding(
            "the clock stepped",
            f"by {step:+.1f} s during the run; times are by the steady clock",
        )
    execution.run = history.finish(execution.run.with_(ended=ended))


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM unwind the stack like Ctrl-C, so that children are stopped and the end stored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
