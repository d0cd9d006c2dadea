"""Which alerts fire now: the newest change of each alert's label set decides."""

from __future__ import annotations

from crmops.history import History
from crmops.record import Kind, Run, Verdict

MOST = 500
"""So many changes are looked through, the newest first."""


def firing(history: History, target: str | None = None, alert: str | None = None) -> list[Run]:
    """The runs of kind alert that say so, newest first.

    A rehearsal is of kind alert too; it fires nothing.  One alert may fire for several label
    sets (two journeys, two suites); it has cleared when none of them fires any more.
    """
    newest: dict[tuple[str, str, str], Run] = {}
    for run in history.find(Kind.ALERT, target, alert, finished=True, limit=MOST):
        if run.measure("firing") is not None:
            labels = run.findings[0].detail if run.findings else ""
            newest.setdefault((run.target, run.subject, labels), run)
    return [each for each in newest.values() if each.verdict is Verdict.FAIL]
