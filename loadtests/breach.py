"""Ends a run whose objectives are missed beyond hope, so that nobody waits for the obvious."""

from __future__ import annotations

from collections.abc import Sequence

from crmops.record import Verdict
from crmops.verdict import Objective, judge
from loadtests.measures import Measures, known_so_far
from loadtests.result import Result
from loadtests.settings import Abort
from loadtests.workload import Workload


class BreachWatch:
    """Looks once a second whether an objective is missed, and for how long already.

    Judged is everything so far, on as many samples as the objective demands.  Objectives whose
    measure is only known at the end (``users``, ``request.rate``, ``data.lost``) are left to it.
    """

    def __init__(
        self, settings: Abort, workload: Workload, objectives: Sequence[Objective]
    ) -> None:
        self._settings, self._workload = settings, workload
        self._objectives = [each for each in objectives if known_so_far(each.measure)]
        self._judged = {phase.name for phase in workload.phases if phase.judged}
        self._since: dict[str, float] = {}

    def breach(self, result: Result) -> str:
        """Why the run must end now, or nothing."""
        if not self._settings.on_breach:
            return ""
        judged = sum(1 for each in result.seconds.values() if each.phase in self._judged)
        if judged < self._settings.grace:
            return ""
        measures = Measures(result, self._workload)
        for each in self._objectives:
            found = judge([measures.one(each.measure)], [each])
            if found.verdict is not Verdict.FAIL:
                self._since.pop(each.measure, None)
                continue
            since = self._since.setdefault(each.measure, result.elapsed)
            if result.elapsed - since >= self._settings.seconds:
                return f"stopped after {result.elapsed:.0f} s: {found.reason}"
        return ""
