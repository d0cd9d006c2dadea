"""What a page shows beyond the records themselves, computed from the history alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crmops.errors import HistoryError
from crmops.gate import Decision
from crmops.history import History
from crmops.record import Kind, Measure, Run, Unit, Verdict

WALKS = 90
PAST = 60
MOST_SUBJECTS = 200
LARGEST_RESULT = 32 << 20
STANDING = "verdict"
_INSIDE = re.compile(r"(?P<stem>[^{}]+)\{(?P<row>[^{}]+)\}")

HEADLINES: dict[Kind, tuple[str, ...]] = {
    Kind.LOAD: ("response_time.p95", "request.rate"),
    Kind.PROBE: ("duration",),
    Kind.DQ: ("score",),
    Kind.BACKUP: ("duration", "size"),
    Kind.DRILL: ("rto", "rpo"),
    Kind.ALERT: ("raised_after", "cleared_after", "lasted"),
    Kind.GATE: ("requirements.met",),
}
"""The numbers that say most about a run of a kind, the first of them first."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Something that must happen now and then and has not: ``run`` is the newest, if there is."""

    kind: str
    target: str
    subject: str
    wanted: float | None
    age: float | None
    run_id: str = ""

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Walks:
    """The last walks of one probe, old to new."""

    newest: Run
    runs: tuple[Run, ...]

    @property
    def passed(self) -> int:
        """How many of them passed."""
        return sum(each.verdict is Verdict.PASS for each in self.runs)


def newest_of_each(history: History) -> list[Run]:
    """The newest ended run of each kind, target and subject; gates and single alerts left out."""
    keys = {(t.kind, t.target, t.subject) for t in history.totals() if t.kind is not Kind.GATE}
    found = []
    for kind, target, subject in sorted(keys)[:MOST_SUBJECTS]:
        run = history.latest(kind, target, subject)
        if run is not None and run.measure("firing") is None:
            found.append(run)
    return found


def walks_of(history: History, newest: Run) -> Walks:
    """The last walks of the probe that a run is one of."""
    runs = history.find(newest.kind, newest.target, newest.subject, finished=True, limit=WALKS)
    return Walks(newest, tuple(reversed(runs)))


def headline(run: Run) -> Measure | None:
    """The number that says most about a run."""
    for name in HEADLINES.get(run.kind, ()):
        found = run.measure(name)
        if found is not None and found.value is not None:
            return found
    return None


def past(history: History, run: Run) -> list[tuple[Run, Measure]]:
    """The headline's measure over the last runs of the same, old to new, up to this run."""
    chosen = headline(run)
    if chosen is None:
        return []
    runs = history.find(run.kind, run.target, run.subject, finished=True, limit=PAST)
    pairs = [(each, each.measure(chosen.name)) for each in reversed(runs)]
    return [(each, found) for each, found in pairs if found and found.value is not None]


def overdue(decisions: Iterable[Decision], never: Iterable[tuple[Kind, str, str]]) -> list[Overdue]:
    """What the gates find missing or too old, and what is expected and was never done."""
    found: dict[tuple[str, str, str], Overdue] = {}
    for decision in decisions:
        for ruling in decision.rulings:
            wanted = ruling.requirement
            key = (wanted.kind.value, decision.target, wanted.subject)
            late = ruling.age is not None and ruling.age > wanted.maximum_age
            if late or not ruling.run_id:
                found.setdefault(key, Overdue(*key, wanted.maximum_age, ruling.age, ruling.run_id))
    for kind, target, subject in never:
        found.setdefault(
            (kind.value, target, subject), Overdue(kind.value, target, subject, None, None)
        )
    return [found[key] for key in sorted(found)]


def so_far(measures: Iterable[Measure]) -> Verdict | None:
    """How a run that goes on stands, where its heartbeat says so as ``verdict{...}``."""
    held = {each.name for each in measures if each.value}
    return next((each for each in Verdict if f"{STANDING}{{{each}}}" in held), None)


def pivot(
    measures: Iterable[Measure],
) -> tuple[list[str], list[tuple[str, list[Measure | None]]], list[Measure]]:
    """Measures such as ``response_time.p95{contacts.get}`` as a table, and all the others.

    Returns the columns (what was measured), the rows (of which operation, dimension or rule, with
    a measure or None per column) and the measures that are in no table.
    """
    columns: list[str] = []
    rows: dict[str, dict[str, Measure]] = {}
    rest = []
    for measure in measures:
        match = _INSIDE.fullmatch(measure.name)
        if match and match["stem"] == STANDING:
            continue
        if match is None:
            rest.append(measure)
            continue
        if match["stem"] not in columns:
            columns.append(match["stem"])
        rows.setdefault(match["row"], {})[match["stem"]] = measure
    return columns, [(n, [found.get(c) for c in columns]) for n, found in rows.items()], rest


def timeline(history: History, run: Run) -> list[dict[str, float]]:
    """A load test second by second (at, users, p95, requests), if its result is still whole."""
    wanted = next((e for e in run.evidence if e.path == f"{run.id}/result.json"), None)
    if run.kind is not Kind.LOAD or wanted is None or wanted.bytes > LARGEST_RESULT:
        return []
    try:
        if not history.files.intact(wanted):
            return []
        seconds = json.loads(history.files.path(wanted).read_bytes())["seconds"]
        return [
            {name: float(each[name] or 0) for name in ("at", "users", "p95", "requests")}
            for each in seconds
        ]
    except (OSError, ValueError, KeyError, TypeError, HistoryError):
        return []  # an older or foreign format: the file itself is still linked


def thinned(values: Sequence[Any], most: int = 240) -> list[Any]:
    """At most so many of them, evenly."""
    step = max(len(values) / most, 1.0)
    return [values[int(number * step)] for number in range(int(len(values) / step))]


def seconds_between(later: datetime, earlier: datetime) -> float:
    """Seconds from one moment to another; never negative."""
    return max((later - earlier).total_seconds(), 0.0)


def unit_of(measure: Measure | None) -> Unit:
    """The unit of a measure; count where there is none."""
    return measure.unit if measure else Unit.COUNT
