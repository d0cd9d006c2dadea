"""Checking a gate: decide, and keep the decision as a Run with its evidence."""

from __future__ import annotations

from crmops.execute import executing
from crmops.gate.decide import Decision, decide
from crmops.gate.settings import Gate
from crmops.history import History
from crmops.record import Kind, Unit, Verdict, utc_now


def check_gate(
    history: History, name: str, gate: Gate, target: str, *, config_digest: str = ""
) -> tuple[str, Decision]:
    """Decide a gate now and record it.  Returns the Run's id and the decision.

    Runs whose process was killed are ended first: a killed run is evidence of an error.
    """
    history.reap()
    with executing(history, Kind.GATE, target, name, config_digest=config_digest) as execution:
        decision = decide(history, name, gate, target, utc_now())
        met = sum(each.verdict is Verdict.PASS for each in decision.rulings)
        waived = sum(r.accepted and r.verdict is not Verdict.PASS for r in decision.rulings)
        total = len(decision.rulings)
        execution.measure("requirements.met", met, Unit.COUNT, total)
        execution.measure("requirements.waived", waived, Unit.COUNT, total)
        execution.measure("requirements", total, Unit.COUNT, total)
        for ruling in decision.rulings:
            if not ruling.accepted:
                execution.finding(
                    ruling.requirement.name,
                    ruling.reason,
                    "critical",
                    ruling.requirement.owner,
                )
        for waiver in decision.expired_waivers:
            detail = f"approved by {waiver.approver}, expired {waiver.expires}"
            execution.finding(f"the waiver for {waiver.requirement!r} has expired", detail)
        execution.attach("decision.json", decision.model_dump_json(indent=2))
        execution.conclude(decision.verdict, decision.reason)
    return execution.id, decision
