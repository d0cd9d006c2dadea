"""An alert is proven by making its fault: begin it, see the alert, end it, see it clear."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import httpx

from alerts.settings import Hook, Rehearsal
from crmops.errors import CannotRun
from crmops.execute import Execution, executing
from crmops.history import History
from crmops.record import Kind, Run, Unit, Verdict, utc_now
from crmops.verdict import Objective, judge

SUBJECT = "rehearsal"
POLL = 0.25
MOST = 500
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
        with httpx.Client(timeout=10, trust_env=False) as http:
            _time_both(rehearsal, history, target, http, execution, say)
        _judge(execution, rehearsal)
    return execution.run


def _time_both(
    rehearsal: Rehearsal,
    history: History,
    target: str,
    http: httpx.Client,
    execution: Execution,
    say: Say,
) -> None:
    began, started = utc_now(), time.monotonic()
    _call(http, rehearsal.begin)
    try:
        say(f"the fault has begun, waiting for {rehearsal.alert}")
        limit = max(rehearsal.raise_within, rehearsal.hold) * PATIENCE
        raised = _wait(history, target, rehearsal.alert, Verdict.FAIL, began, limit, execution)
        _note(execution, "raised_after", raised, began)
        if raised:
            say(f"{rehearsal.alert} was raised after {(raised - began).total_seconds():.1f} s")
        rest = rehearsal.hold - (time.monotonic() - started)
        time.sleep(max(rest, 0.0) if raised else 0.0)
    finally:
        _call(http, rehearsal.end)
    healed = utc_now()
    if raised is None:
        return
    say(f"the fault has ended, waiting for {rehearsal.alert} to clear")
    limit = rehearsal.clear_within * PATIENCE
    cleared = _wait(history, target, rehearsal.alert, Verdict.PASS, healed, limit, execution)
    _note(execution, "cleared_after", cleared, healed)


def _wait(
    history: History,
    target: str,
    alert: str,
    verdict: Verdict,
    since: datetime,
    limit: float,
    execution: Execution,
) -> datetime | None:
    """When the receiver heard that it fires (fail) or that none fires any more (pass)."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        heard = [
            run.ended
            for run in history.find(Kind.ALERT, target, alert, finished=True, limit=MOST)
            if run.ended and run.verdict is verdict and run.ended >= since
        ]
        if heard and (verdict is Verdict.FAIL or not firing(history, target, alert)):
            return min(heard) if verdict is Verdict.FAIL else max(heard)
        execution.beat()
        time.sleep(POLL)
    return None


def firing(history: History, target: str, alert: str) -> bool:
    """Whether an alert fires for any of its label sets: each one's newest change decides."""
    newest: dict[str, Verdict] = {}
    for run in history.find(Kind.ALERT, target, alert, finished=True, limit=MOST):
        newest.setdefault(run.findings[0].detail if run.findings else "", run.verdict)
    return Verdict.FAIL in newest.values()


def _note(execution: Execution, name: str, moment: datetime | None, since: datetime) -> None:
    seconds = (moment - since).total_seconds() if moment else None
    execution.measure(name, seconds, Unit.SECONDS, 1 if moment else 0)


def _judge(execution: Execution, rehearsal: Rehearsal) -> None:
    """An alert that never came is a fail: it was waited for, long enough."""
    wanted = [
        Objective(measure="raised_after", limit=rehearsal.raise_within, unit=Unit.SECONDS),
        Objective(measure="cleared_after", limit=rehearsal.clear_within, unit=Unit.SECONDS),
    ]
    for name, word in (("raised_after", "raised"), ("cleared_after", "cleared")):
        found = execution.run.measure(name)
        if found is not None and found.value is None:
            execution.finding(f"{rehearsal.alert} was never {word}", severity="critical")
            execution.conclude(Verdict.FAIL, f"{rehearsal.alert} was never {word}")
            return
    execution.conclude_by(judge(execution.run.measures, wanted))


def _call(http: httpx.Client, hook: Hook) -> None:
    try:
        answer = http.request(hook.method, hook.url, json=hook.body)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise CannotRun(
            f"the hook {hook.method} {hook.url} failed: {type(error).__name__}",
            hint="alerts.rehearsal names what begins and ends the fault; try it by hand.",
        ) from error
