"""All suites of one command: alone on their target, and gone on with after a kill."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from crmops.errors import AlreadyRunning, CannotRun
from crmops.record import Run, Verdict, utc_now
from dq_checks.client import AuditWorker
from dq_checks.run import Audit, Told, run_suites
from dq_checks.suite import Suite

CLAIM = timedelta(seconds=90)
RENEW_SECONDS = 20.0
OLDEST = timedelta(hours=24)
"""What was finished longer ago is audited again."""


class Batch(BaseModel):
    """What a command set out to audit, and the Runs of the suites that it has finished."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    begun: datetime
    done: dict[str, str] = {}


def run_batch(
    audit: Audit,
    suites: Sequence[Suite],
    state_dir: Path,
    *,
    resume: bool = False,
    worker: AuditWorker | None = None,
) -> list[Run]:
    """Audit the suites; with ``resume`` only those that a killed command left undone.

    Suites that ended as an error are undone.  Raises AlreadyRunning when somebody else audits
    the target, CannotRun when the state directory cannot be written.
    """
    journal = _Journal(state_dir, audit.target)
    ours = worker or AuditWorker()
    with _alone(audit) as told:
        audit.history.reap()
        batch = _batch(audit, suites, journal, resume=resume)
        journal.write(batch)
        found = []
        try:
            for suite in suites:
                run = _finished(audit, batch, suite)
                if run is None:
                    (run,) = run_suites(replace(audit, told=told), [suite], ours)
                    if run.verdict is not Verdict.ERROR:
                        batch = batch.model_copy(
                            update={"done": {**batch.done, suite.name: run.id}}
                        )
                        journal.write(batch)
                found.append(run)
        finally:
            if worker is None:
                ours.stop()
        journal.remove()
    return found


def _batch(audit: Audit, suites: Sequence[Suite], journal: _Journal, *, resume: bool) -> Batch:
    now = utc_now()
    fresh = Batch(digest=_digest(audit, suites), begun=now)
    left = journal.read() if resume else None
    if left is None or left.digest != fresh.digest or now - left.begun > OLDEST:
        return fresh
    return left


def _finished(audit: Audit, batch: Batch, suite: Suite) -> Run | None:
    """The suite's Run, if it was finished before and is still in the history."""
    run = audit.history.get(batch.done.get(suite.name, ""))
    return run if run is not None and run.ended is not None else None


def _digest(audit: Audit, suites: Sequence[Suite]) -> str:
    """Another configuration, other suites or waivers make another batch."""
    parts = [audit.config_digest, audit.target, audit.settings.model_dump_json()]
    parts += [each.model_dump_json() for each in (*suites, *audit.waivers)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextmanager
def _alone(audit: Audit) -> Iterator[Told]:
    """Hold the target while the body runs.  Yields who is to be told of progress: it renews."""
    name, history = f"dq/{audit.target}", audit.history
    last = time.monotonic()

    def claim() -> None:
        if not history.claim(name, CLAIM):
            raise AlreadyRunning(
                f"target {audit.target!r} is being audited already",
                hint="Wait for the other audit; two at once would load its database twice.",
            )

    def told(suite: str, stage: str) -> None:
        nonlocal last
        if time.monotonic() - last > RENEW_SECONDS:
            last = time.monotonic()
            claim()
        if audit.told is not None:
            audit.told(suite, stage)

    claim()
    try:
        yield told
    finally:
        history.release(name)


class _Journal:
    """The batch of a target, on disk until it has ended."""

    def __init__(self, state_dir: Path, target: str) -> None:
        name = re.sub(r"[^A-Za-z0-9_-]", lambda found: f"%{ord(found[0]):x}", target)
        self._path = state_dir / "dq" / "batches" / f"{name}.json"

    def read(self) -> Batch | None:
        """What was left; None if there is nothing that can be gone on with."""
        try:
            return Batch.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, batch: Batch) -> None:
        """Keep it, whole or not at all."""
        made = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with made.open("w", encoding="utf-8") as out:
                out.write(batch.model_dump_json())
                out.flush()
                os.fsync(out.fileno())
            made.replace(self._path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CannotRun(
                f"{self._path} cannot be written: {reason}", hint="Look at the state directory."
            ) from None

    def remove(self) -> None:
        """Forget it."""
        self._path.unlink(missing_ok=True)
