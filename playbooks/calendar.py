"""When drills are due: what the history says beside what was agreed."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from crmops.history import History
from crmops.periods import late, missed_periods
from crmops.record import Kind, Run, Verdict
from playbooks.settings import Settings

_SOON = 0.1
"""Due is what has a tenth of its time left: for a quarter, nine days to plan it."""

_SUBJECTS = ("restore", "point-in-time")
_LIMIT = 1000


class State(StrEnum):
    """``missed`` means that a whole occasion passed: two periods without a drill that passed."""

    DONE = "done"
    DUE = "due"
    OVERDUE = "overdue"
    MISSED = "missed"
    NEVER = "never"


VERDICTS = {
    State.DONE: Verdict.PASS,
    State.DUE: Verdict.PASS,
    State.OVERDUE: Verdict.FAIL,
    State.MISSED: Verdict.FAIL,
    State.NEVER: Verdict.UNKNOWN,
}


class Occasion(BaseModel):
    """A drill that passed.  ``late_seconds`` is by how much it came after its day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    ended: AwareDatetime
    late_seconds: float
    missed: int


class Calendar(BaseModel):
    """One target's calendar.  Seconds; ``missed`` counts the periods that passed without one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    owner: str
    approver: str
    every_seconds: float
    state: State
    last_passed: AwareDatetime | None
    due: AwareDatetime | None
    missed: int
    failed_since: int
    occasions: tuple[Occasion, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether the calendar is kept; one that never began is unknown."""
        return VERDICTS[self.state]


def read_calendar(history: History, target: str, settings: Settings, now: datetime) -> Calendar:
    """The calendar of a target at a moment, from the drills of its history.

    Only a drill that passed keeps an occasion; one that failed is work to do, not a drill done.
    """
    every = timedelta(seconds=settings.calendar.every)
    drills = _drills(history, target, now)
    passed = [each for each in drills if each.verdict is Verdict.PASS]
    occasions = _occasions(passed, every)
    last = _ended(passed[-1]) if passed else None
    return Calendar(
        target=target,
        owner=settings.calendar.owner or settings.owner,
        approver=settings.calendar.approver or settings.approver,
        every_seconds=settings.calendar.every,
        state=state_of(last, every, now),
        last_passed=last,
        due=last + every if last else None,
        missed=missed_periods([_ended(each) for each in passed], every, now),
        failed_since=sum(last is None or _ended(each) > last for each in drills),
        occasions=tuple(reversed(occasions)),
    )


def state_of(last: datetime | None, every: timedelta, now: datetime) -> State:
    """What is to be said of a calendar whose last good drill ended at ``last``."""
    if last is None:
        return State.NEVER
    if now > last + 2 * every:
        return State.MISSED
    if now > last + every:
        return State.OVERDUE
    return State.DUE if now > last + (1 - _SOON) * every else State.DONE


def _drills(history: History, target: str, now: datetime) -> list[Run]:
    """Finished drills up to a moment, oldest first."""
    found = [
        each
        for subject in _SUBJECTS
        for each in history.find(Kind.DRILL, target, subject, finished=True, limit=_LIMIT)
    ]
    return sorted((each for each in found if _ended(each) <= now), key=_ended)


def _occasions(passed: list[Run], every: timedelta) -> list[Occasion]:
    """Each good drill, with how late it was after the one before; the first is never late."""
    made = []
    for before, each in zip([None, *passed], passed, strict=False):
        behind = late(_ended(before), _ended(each), every) if before else timedelta(0)
        made.append(
            Occasion(
                run=each.id,
                ended=_ended(each),
                late_seconds=behind.total_seconds(),
                missed=behind // every,
            )
        )
    return made


def _ended(run: Run) -> datetime:
    return run.ended or run.begun
