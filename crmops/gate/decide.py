"""Deciding a gate.  Reads the history; measures nothing, touches no target."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from crmops.gate.settings import SHARE, Gate, Requirement, Waiver
from crmops.history import History
from crmops.record import Kind, Measure, Run, Unit, Verdict
from crmops.units import human_seconds
from crmops.verdict import judge, worst

FUTURE_TOLERANCE = timedelta(seconds=60)
"""Evidence that ends further ahead of the clock than this cannot be dated, so it cannot be used."""

MOST_RUNS = 10_000


class Ruling(BaseModel):
    """One requirement, ruled on, with the evidence that was used.

    ``verdict`` is the finding itself; a waiver does not change it, it is shown beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requirement: Requirement
    verdict: Verdict
    reason: str
    value: float | None = None
    unit: Unit | None = None
    observed: int = 0
    run_id: str = ""
    age: float | None = None
    waiver: Waiver | None = None

    @property
    def accepted(self) -> bool:
        """Whether it stands in nobody's way: it passed or is waived."""
        return self.verdict is Verdict.PASS or self.waiver is not None


class Decision(BaseModel):
    """What the gate says and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str
    target: str
    at: datetime
    verdict: Verdict
    rulings: tuple[Ruling, ...]
    expired_waivers: tuple[Waiver, ...] = ()

    @property
    def word(self) -> str:
        """``go``, ``no-go`` or ``unknown``."""
        return {Verdict.PASS: "go", Verdict.UNKNOWN: "unknown"}.get(self.verdict, "no-go")

    @property
    def reason(self) -> str:
        """Every reason against, or that all is met."""
        open_ = [r for r in self.rulings if not r.accepted]
        if open_:
            return "; ".join(f"{r.requirement.name}: {r.reason}" for r in open_)
        waived = sum(r.verdict is not Verdict.PASS for r in self.rulings)
        if waived:
            return f"all {len(self.rulings)} requirements met, {waived} of them waived"
        return f"all {len(self.rulings)} requirements met"


def decide(history: History, name: str, gate: Gate, target: str, now: datetime) -> Decision:
    """Rule on every requirement.  Goes only if each one passed or is waived by a valid waiver."""
    waivers = {w.requirement: w for w in gate.waivers if w.granted <= now.date() <= w.expires}
    rulings = []
    for requirement in gate.requirements:
        ruling = _rule(history, requirement, target, now)
        if ruling.verdict is not Verdict.PASS and requirement.name in waivers:
            ruling = ruling.model_copy(update={"waiver": waivers[requirement.name]})
        rulings.append(ruling)
    open_ = [r.verdict for r in rulings if not r.accepted]
    return Decision(
        gate=name,
        target=target,
        at=now,
        verdict=worst(open_) if open_ else Verdict.PASS,
        rulings=tuple(rulings),
        expired_waivers=tuple(w for w in gate.waivers if w.expires < now.date()),
    )


def _rule(history: History, requirement: Requirement, target: str, now: datetime) -> Ruling:
    run = history.latest(requirement.kind, target, requirement.subject)
    if run is None or run.ended is None:
        reason = f"no {requirement.kind} {requirement.subject!r} on {target!r} yet"
        return Ruling(requirement=requirement, verdict=Verdict.UNKNOWN, reason=reason)
    age = (now - run.ended).total_seconds()
    flaw = _flaw(history, requirement, run, age)
    if flaw:
        verdict = Verdict.ERROR if run.verdict is Verdict.ERROR else Verdict.UNKNOWN
        return Ruling(
            requirement=requirement,
            verdict=verdict,
            reason=flaw,
            run_id=run.id,
            age=age,
        )
    return _judged(history, requirement, run, now)


def _flaw(history: History, requirement: Requirement, run: Run, age: float) -> str:
    """Why a run cannot serve as evidence, or nothing."""
    if age < -FUTURE_TOLERANCE.total_seconds():
        return f"the evidence is {human_seconds(-age)} ahead of the clock"
    if age > requirement.maximum_age:
        return f"the evidence is {human_seconds(age)} old, {_span(requirement)} is the most"
    damaged = [e.path for e in run.evidence if not history.files.intact(e)]
    if damaged:
        return f"evidence {damaged[0]} is gone or was changed"
    if run.verdict is Verdict.ERROR and requirement.window is None:
        return f"it could not run: {run.reason}"
    if run.verdict is Verdict.UNKNOWN and requirement.window is None:
        return f"it says unknown: {run.reason}"
    return ""


def _span(requirement: Requirement) -> str:
    return human_seconds(requirement.maximum_age)


def _judged(history: History, requirement: Requirement, run: Run, now: datetime) -> Ruling:
    age = (now - run.ended).total_seconds() if run.ended else None
    objective = requirement.objective
    if objective is None:
        return Ruling(
            requirement=requirement,
            verdict=run.verdict,
            reason=run.reason,
            run_id=run.id,
            age=age,
        )
    measures: tuple[Measure, ...] = run.measures
    if requirement.window is not None:
        measures = (_share(history, requirement, run.target, now),)
    check = judge(measures, [objective]).checks[0]
    found = next((m for m in measures if m.name == objective.measure), None)
    return Ruling(
        requirement=requirement,
        verdict=check.verdict,
        reason=check.reason,
        value=check.value,
        unit=found.unit if found else requirement.unit,
        observed=check.observed,
        run_id=run.id,
        age=age,
    )


def _share(history: History, requirement: Requirement, target: str, now: datetime) -> Measure:
    """The share of runs in the window that passed; unknown and error runs did not."""
    since = now - timedelta(seconds=requirement.window or 0)
    runs = history.find(
        Kind(requirement.kind),
        target,
        requirement.subject,
        since=since,
        finished=True,
        limit=MOST_RUNS,
    )
    passed = sum(each.verdict is Verdict.PASS for each in runs)
    value = passed / len(runs) if runs else None
    return Measure(name=SHARE, value=value, unit=Unit.RATIO, observed=len(runs))
