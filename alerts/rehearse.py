"""An alert is proven by making its fault: begin it, see the alert, end it, see it clear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import httpx

from alerts.settings import Hook, Rehearsal
from crmops.errors import CannotRun
from crmops.execute import Execution, executing
from crmops.firing import MOST, firing
from crmops.history import History
from crmops.record import Kind, Run, Unit, Verdict, utc_now
from crmops.verdict import Objective, judge

SUBJECT = "rehearsal"
POLL = 0.25
END_ATTEMPTS = 3
PATIENCE = 2.0
"""How many times the wanted time we wait before we say that it never came."""

Say = Callable[[str], None]


def rehearse(
    rehearsal: Rehearsal,
    history: History,
    target: str,
    *,
    config_digest: str = "",
    say: Say = lambda text: None,
) -> Run:
    """Make the fault, time the alert's coming and going at the receiver, record and judge both.

    The fault is ended whatever happens.  Raises CannotRun if the alert is firing already or a
    hook does not answer.
    """
    with executing(history, Kind.ALERT, target, SUBJECT, config_digest=config_digest) as execution:
        if firing(history, target, rehearsal.alert):
            raise CannotRun(
                f"{rehearsal.alert} is firing already, so nothing can be learned from it",
                hint="Wait until it has cleared, or find out why it fires.",
            )
        watch = _Watch(history, target, rehearsal, execution)
        with httpx.Client(timeout=10, trust_env=False) as http:
            began = utc_now()
            with _fault(rehearsal, http):
                say(f"the fault has begun, waiting for {rehearsal.alert}")
                raised = watch.raised(began)
                if raised:
                    say(f"{rehearsal.alert} was raised after {_seconds(raised, began):.1f} s")
                    watch.rest(began)
                steady = watch.firing()
            healed = utc_now()
        watch.note("raised_after", raised, began)
        if raised and steady:
            say(f"the fault has ended, waiting for {rehearsal.alert} to clear")
            watch.note("cleared_after", watch.cleared(healed), healed)
        _judge(execution, rehearsal, steady=steady)
    return execution.run


@contextmanager
def _fault(rehearsal: Rehearsal, http: httpx.Client) -> Iterator[None]:
    """The fault, ended whatever happens: also one whose begin was answered too late or never."""
    try:
        _call(http, rehearsal.begin)
        yield
    finally:
        _end(http, rehearsal.end)


def _end(http: httpx.Client, hook: Hook) -> None:
    """A fault that is left on is worse than a rehearsal that failed, so the end is tried again."""
    for left in reversed(range(END_ATTEMPTS)):
        try:
            _call(http, hook)
            return
        except CannotRun:
            if not left:
                raise
            time.sleep(POLL)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Looks at what the receiver has heard of one alert."""

    history: History
    target: str
    rehearsal: Rehearsal
    execution: Execution

    def firing(self) -> bool:
        """Whether it fires now."""
        return bool(firing(self.history, self.target, self.rehearsal.alert))

    def raised(self, since: datetime) -> datetime | None:
        """When the receiver heard that it fires, or None if it never did."""
        limit = max(self.rehearsal.raise_within, self.rehearsal.hold) * PATIENCE
        for _ in self._looks(limit):
            if heard := self._heard(Verdict.FAIL, since):
                return min(heard)
        return None

    def cleared(self, since: datetime) -> datetime | None:
        """When the receiver heard that it fires for nothing any more, or None if it never did."""
        for _ in self._looks(self.rehearsal.clear_within * PATIENCE):
            if not self.firing() and (heard := self._heard(Verdict.PASS, since)):
                return max(heard)
        return None

    def rest(self, began: datetime) -> None:
        """Let the fault last as long as it shall."""
        for _ in self._looks(self.rehearsal.hold - _seconds(utc_now(), began)):
            pass

    def note(self, name: str, moment: datetime | None, since: datetime) -> None:
        """Keep how long it took; no value if it never came."""
        seconds = _seconds(moment, since) if moment else None
        self.execution.measure(name, seconds, Unit.SECONDS, 1 if moment else 0)

    def _looks(self, seconds: float) -> Iterator[None]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            yield
            self.execution.beat()
            time.sleep(POLL)

    def _heard(self, verdict: Verdict, since: datetime) -> list[datetime]:
        found = self.history.find(
            Kind.ALERT, self.target, self.rehearsal.alert, finished=True, limit=MOST
        )
        return [r.ended for r in found if r.ended and r.verdict is verdict and r.ended >= since]


def _seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()


def _judge(execution: Execution, rehearsal: Rehearsal, *, steady: bool) -> None:
    """An alert that never came is a fail: it was waited for, long enough."""
    wanted = [
        Objective(measure="raised_after", limit=rehearsal.raise_within, unit=Unit.SECONDS),
        Objective(measure="cleared_after", limit=rehearsal.clear_within, unit=Unit.SECONDS),
    ]
    found = {each.name: each.value for each in execution.run.measures}
    if found["raised_after"] is None:
        problem = f"{rehearsal.alert} was never raised"
    elif not steady:
        problem = f"{rehearsal.alert} cleared while the fault went on"
    elif found["cleared_after"] is None:
        problem = f"{rehearsal.alert} was never cleared"
    else:
        execution.conclude_by(judge(execution.run.measures, wanted))
        return
    execution.finding(problem, severity="critical")
    execution.conclude(Verdict.FAIL, problem)


def _call(http: httpx.Client, hook: Hook) -> None:
    try:
        http.request(hook.method, hook.url, json=hook.body).raise_for_status()
    except httpx.HTTPError as error:
        raise CannotRun(
            f"the hook {hook.method} {_shown(hook.url)} failed: {_why(error)}",
            hint="alerts.rehearsal names what begins and ends the fault; try it by hand.",
        ) from error


def _why(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answered {error.response.status_code}"
    return type(error).__name__


def _shown(url: str) -> str:
    """A hook's address without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
