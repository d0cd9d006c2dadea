"""Carries the schedule out: each command in a child process, never twice at once.

A child that is killed leaves an open run, which :meth:`History.reap` ends as an error; that is
done here too, every half minute, for the children of everybody.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from crmops.config import Config
from crmops.errors import CrmopsError
from crmops.history import History
from crmops.schedule_settings import Entry, Settings, crontab_days

log = logging.getLogger("crmops.schedule")

HOLD = timedelta(seconds=50)
"""A claim outlives its run, so that a second scheduler whose clock is late does not repeat it."""

RENEW = 15.0
REAP = 30.0
LARGEST_LOG = 1 << 20


class Scheduler:
    """Runs the configured commands at their times until it is stopped.

    ``command`` begins every child's command line.  What was due while nobody ran it is done once,
    not many times.
    """

    def __init__(
        self, config: Config, history: History, command: Sequence[str] | None = None
    ) -> None:
        self.settings = config.parse("schedule", Settings)
        self._command = [*(command or (sys.executable, "-m", "crmops"))]
        self._command += ["--quiet", "--config", str(config.path)]
        self._history = history
        self._logs = config.state_dir / "logs"
        self._directory = config.directory
        self._children: set[subprocess.Popen[bytes]] = set()
        self._stop = threading.Event()
        self._clock: Any = None
        self._house = threading.Thread(target=self._keep_house, name="reaper", daemon=True)

    def start(self) -> None:
        """Begin to look at the clock."""
        self._house.start()
        if not self.settings.entries:
            return
        from apscheduler.schedulers.background import BackgroundScheduler
        from apscheduler.triggers.cron import CronTrigger

        self._clock = BackgroundScheduler(timezone=self.settings.timezone, daemon=True)
        for entry in self.settings.entries:
            fields = entry.cron.split()
            line = " ".join([*fields[:4], crontab_days(fields[4])])
            self._clock.add_job(
                self.run,
                CronTrigger.from_crontab(line, timezone=self.settings.timezone),
                args=[entry],
                name=entry.label,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=3600,
            )
        self._clock.start()

    def stop(self, patience: float = 5.0) -> None:
        """Stop looking, ask the children to end, and kill what has not after ``patience`` s."""
        self._stop.set()
        if self._clock is not None:
            self._clock.shutdown(wait=False)
        children = list(self._children)
        for child in children:
            child.terminate()
        deadline = time.monotonic() + patience
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(deadline - time.monotonic(), 0.0))
            if child.poll() is None:
                _kill_tree(child)

    def run(self, entry: Entry) -> int | None:
        """Carry one entry out now.  Returns the exit code, or None if somebody else does it."""
        claim = f"schedule/{entry.label}"
        try:
            if self._stop.is_set() or not self._history.claim(claim, HOLD):
                return None
            child = self._begin(entry)
        except (CrmopsError, OSError) as error:
            log.warning("%s could not be started: %s", entry.label, error)
            return None
        try:
            code = self._wait(child, claim)
        finally:
            self._children.discard(child)
        if code not in (0, 1, 3):  # 1 and 3 are verdicts, and the Run says why
            log.warning("%s ended with exit code %s; see %s", entry.label, code, self._log(entry))
            self._reap()
        return code

    def _begin(self, entry: Entry) -> subprocess.Popen[bytes]:
        path = self._log(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists() or path.stat().st_size > LARGEST_LOG
        with path.open("wb" if fresh else "ab") as out:
            child = subprocess.Popen(
                [*self._command, *shlex.split(entry.run)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self._directory,
                env={**os.environ, "NO_COLOR": "1"},
                start_new_session=True,
            )
        self._children.add(child)
        if self._stop.is_set():  # stop() may have looked just before it was there
            child.terminate()
        return child

    def _wait(self, child: subprocess.Popen[bytes], claim: str) -> int:
        while True:
            try:
                return child.wait(RENEW)
            except subprocess.TimeoutExpired:
                try:
                    self._history.claim(claim, HOLD)
                except CrmopsError as error:
                    log.warning("the claim %s was not renewed: %s", claim, error)

    def _log(self, entry: Entry) -> Path:
        return self._logs / f"schedule-{re.sub(r'[^A-Za-z0-9]+', '-', entry.label).strip('-')}.log"

    def _keep_house(self) -> None:
        while not self._stop.wait(REAP):
            self._reap()

    def _reap(self) -> None:
        try:
            for each in self._history.reap():
                log.warning("%s %s on %s was killed", each.kind, each.subject, each.target)
        except CrmopsError as error:
            log.warning("killed runs could not be ended: %s", error)


def _kill_tree(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in psutil.Process(child.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
    child.kill()
    child.wait()
