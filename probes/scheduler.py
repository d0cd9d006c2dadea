"""Probes on a schedule: each in its own thread, never twice at once, never by two schedulers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

from crmops.config import Config
from crmops.errors import ConfigError, CrmopsError, UsageError
from crmops.history import History
from crmops.target import Target
from probes.run import check_probe, run_probe
from probes.settings import Probe, Settings

log = logging.getLogger("crmops.probes")

SPREAD = 30.0
"""Seconds within which every probe is walked for the first time, however seldom it is due."""

LONGEST_CALLS = 10
"""A claim outlives a walk in which so many calls take the target's whole time limit."""


class Scheduler:
    """Walks the configured probes until it is stopped.

    A probe that is late is not made up for: the next one begins at its next turn.  A claim in the
    history keeps a second scheduler from doing the same work; when this one dies, the other takes
    over.  Raises ConfigError, with the line, for a probe that could never be walked.
    """

    def __init__(self, config: Config, history: History) -> None:
        settings = config.parse("probes", Settings)
        self._digest = config.digest
        self._history = history
        self._work = [
            (_checked(config, number, each), each) for number, each in enumerate(settings.probes)
        ]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def probes(self) -> Sequence[tuple[Target, Probe]]:
        """What is probed, with its target."""
        return tuple(self._work)

    def start(self) -> None:
        """Begin; the probes are spread over their interval so that they do not meet."""
        for number, (target, probe) in enumerate(self._work):
            delay = min(probe.every, SPREAD) * number / len(self._work)
            thread = threading.Thread(
                target=self._loop,
                args=(target, probe, delay),
                name=f"probe-{probe.journey}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()

    def stop(self, patience: float = 5.0) -> None:
        """Stop after the walks that are under way, waiting at most ``patience`` seconds.

        A walk that takes longer stays open in the history; it is ended as an error by whoever
        reaps next.
        """
        self._stop.set()
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        for target, probe in self._work:
            try:
                self._history.release(_claim(target, probe))
            except CrmopsError as error:
                log.warning("the claim of probe %s was not given back: %s", probe.journey, error)

    def _loop(self, target: Target, probe: Probe, delay: float) -> None:
        turn = time.monotonic() + delay
        while not self._stop.wait(max(turn - time.monotonic(), 0.0)):
            self._once(target, probe)
            now = time.monotonic()
            missed = max(int((now - turn) // probe.every), 0)
            turn += probe.every * (missed + 1)

    def _once(self, target: Target, probe: Probe) -> None:
        try:
            hold = timedelta(seconds=probe.every * 3 + target.timeout * LONGEST_CALLS)
            if not self._history.claim(_claim(target, probe), hold):
                return
            run_probe(
                target,
                probe.journey,
                self._history,
                limit=probe.limit,
                config_digest=self._digest,
            )
        except CrmopsError as error:
            log.warning("probe %s on %s: %s", probe.journey, target.name, error)
        except Exception:
            log.exception("probe %s on %s met a defect", probe.journey, target.name)


def _checked(config: Config, number: int, probe: Probe) -> Target:
    """The target of a probe, once it is sure that the probe can be walked on it."""
    at = f"probes.probes.{number}"
    if probe.target and probe.target not in config.targets:
        raise ConfigError(
            f"there is no target {probe.target!r}",
            hint=f"There are: {', '.join(config.targets) or 'none'}.",
            where=config.where(f"{at}.target"),
        )
    target = config.target(probe.target or None)
    try:
        check_probe(target, probe.journey)
    except UsageError as error:
        where = config.where(f"{at}.journey")
        raise ConfigError(str(error), hint=error.hint, where=where) from error
    return target


def _claim(target: Target, probe: Probe) -> str:
    return f"probe/{target.name}/{probe.journey}"
