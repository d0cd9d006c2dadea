"""How a run stands while it goes on: the verdict that the numbers so far would give."""

from __future__ import annotations

from collections.abc import Sequence

from crmops.record import Verdict
from crmops.verdict import Check, Judgement, Objective, judge
from loadtests.measures import Measures, known_so_far
from loadtests.result import Result
from loadtests.settings import Settings
from loadtests.verdict import health_doubts
from loadtests.workload import Workload

LATER = "is known at the end only"


def standing(
    result: Result, workload: Workload, objectives: Sequence[Objective], settings: Settings
) -> Judgement:
    """The objectives by what has been measured so far, and what they come to.

    Objectives whose measure is only known at the end (``users``, ``data.lost``) are listed as
    unknown and left out of the whole.  An instrument that cannot be trusted makes it unknown, as
    it will at the end.
    """
    if not result.response.cells:
        return Judgement(verdict=Verdict.UNKNOWN, reason="no request was answered yet")
    measures = Measures(result, workload)
    now = [each for each in objectives if known_so_far(each.measure)]
    judged = judge([measures.one(each.measure) for each in now], now)
    if objectives and not now:
        judged = Judgement(verdict=Verdict.UNKNOWN, reason=f"every objective {LATER}")
    doubts = health_doubts(result, list(measures.instrument()), settings)
    if doubts:
        reason = "; ".join(each.reason for each in doubts)
        judged = judged.model_copy(update={"verdict": Verdict.UNKNOWN, "reason": reason})
    by_measure = {str(each.objective): each for each in judged.checks}
    checks = tuple(by_measure.get(str(each)) or _later(each) for each in objectives)
    return judged.model_copy(update={"checks": checks})


def _later(objective: Objective) -> Check:
    return Check(
        objective=objective,
        value=None,
        observed=0,
        verdict=Verdict.UNKNOWN,
        reason=f"{objective.measure} {LATER}",
    )
