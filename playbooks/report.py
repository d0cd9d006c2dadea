"""What a stage writes down while it works."""

from __future__ import annotations

import time
from typing import Any

from crmops.record import utc_now
from playbooks.job import Check, Outcome, Stage


class Report:
    """Checks and facts of one stage.  A stage with a failed check has failed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.checks: list[Check] = []
        self.facts: dict[str, Any] = {}
        self._begun = utc_now()
        self._tick = time.monotonic()

    def check(
        self, name: str, passed: bool, *, wanted: object = "", found: object = "", detail: str = ""
    ) -> bool:
        """Write down one comparison; returns whether it passed."""
        made = Check(name=name, passed=passed, wanted=str(wanted), found=str(found), detail=detail)
        self.checks.append(made)
        return passed

    def fact(self, **values: Any) -> None:
        """Write down what later stages or the evidence need; plain JSON values."""
        self.facts.update(values)

    def stage(self, outcome: Outcome, reason: str = "", hint: str = "") -> Stage:
        """The record of the stage, ended now."""
        return Stage(
            name=self.name,
            begun=self._begun,
            tick=self._tick,
            seconds=max(time.monotonic() - self._tick, 0.0),
            outcome=outcome,
            reason=reason,
            hint=hint,
            checks=tuple(self.checks),
            facts=self.facts,
        )

    def first_failure(self) -> str:
        """Why the stage failed, or nothing."""
        for each in self.checks:
            if not each.passed:
                return f"{each.name}: {each.detail or f'{each.found}, not {each.wanted}'}"
        return ""
