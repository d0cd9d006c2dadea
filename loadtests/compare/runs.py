"""The runs that are compared: found in the history, read from their evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crmops.errors import UnknownEvidence, UsageError
from crmops.history import History
from crmops.record import Kind, Run, Verdict
from loadtests.buckets import Buckets
from loadtests.evidence import FORMAT, RESULT
from loadtests.recording import Recording
from loadtests.workload import Workload

LOOK_BACK = 200
"""Runs of the history that are looked at for a baseline."""

LISTED = "`crmops runs list --kind load` shows them."


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a run in the judged phases: its response times, and how many failed."""

    buckets: Buckets
    calls: int
    failed: int


@dataclass(frozen=True, slots=True)
class Load:
    """One load test with everything that it has measured."""

    run: Run
    document: Mapping[str, Any]
    judged: frozenset[str]
    operations: Mapping[str, Operation]

    @property
    def seconds(self) -> list[Mapping[str, Any]]:
        """The judged seconds in order."""
        return [each for each in self.document["seconds"] if each["phase"] in self.judged]


def read_load(history: History, run: Run) -> Load:
    """A run with its evidence.  Raises UnknownEvidence if there is none that can be trusted."""
    evidence = next((each for each in run.evidence if each.path.endswith(f"/{RESULT}")), None)
    if evidence is None or not history.files.intact(evidence):
        what = "has left no result.json" if evidence is None else "has lost or altered evidence"
        raise UnknownEvidence(
            f"load test {run.id} {what}", hint="Compare runs whose evidence is whole."
        )
    document = json.loads(history.files.path(evidence).read_bytes())
    if document.get("format") != FORMAT:
        raise UnknownEvidence(
            f"result.json of load test {run.id} has format {document.get('format')}, "
            f"this version reads {FORMAT}",
            hint="Compare it with the version of crmops that ran it.",
        )
    return as_load(run, document)


def as_load(run: Run, document: Mapping[str, Any]) -> Load:
    """A run and its result document, taken apart by operation."""
    workload = Workload.model_validate(document["workload"])
    judged = frozenset(phase.name for phase in workload.phases if phase.judged)
    whole = Recording.unpack(document["response"]).where(lambda key: key.phase in judged)
    operations = {name: _operation(whole, name) for name in whole.operations()}
    return Load(run, document, judged, operations)


def _operation(whole: Recording, name: str) -> Operation:
    part = whole.where(lambda key: key.operation == name)
    return Operation(part.answered(), part.counted(), part.counted() - part.answered().count)


def choose(history: History, a: str, b: str) -> tuple[Run, Run]:
    """The two runs: B is the latest load test if not named, A the last passed one like B.

    Raises UsageError for an id that is no load test, UnknownEvidence if there is nothing to take.
    """
    later = _named(history, b) if b else _latest(history)
    earlier = _named(history, a) if a else _baseline(history, later)
    if earlier.id == later.id:
        raise UsageError(f"load test {later.id} cannot be compared with itself", hint=LISTED)
    return earlier, later


def earlier_like(history: History, run: Run, most: int) -> list[Run]:
    """Passed runs of the same workload on the same target before a run, newest first."""
    found = history.find(Kind.LOAD, run.target, run.subject, finished=True, limit=LOOK_BACK)
    fit = [each for each in found if each.verdict is Verdict.PASS and each.begun < run.begun]
    return fit[:most]


def is_plain(run: Run) -> bool:
    """Whether it is a load test of its own, no search for the capacity nor a step of one."""
    return not run.subject.startswith("capacity")


def _named(history: History, run_id: str) -> Run:
    found = history.get(run_id)
    if found is None or found.kind is not Kind.LOAD or found.subject.startswith("capacity:"):
        raise UsageError(f"there is no load test {run_id!r}", hint=LISTED)
    if found.ended is None:
        raise UsageError(f"load test {run_id} has not ended yet", hint="Wait until it has.")
    return found


def _latest(history: History) -> Run:
    found = history.find(Kind.LOAD, finished=True, limit=LOOK_BACK)
    latest = next((each for each in found if is_plain(each)), None)
    if latest is None:
        raise UnknownEvidence(
            "there is no load test to compare", hint="`crmops load run` makes one."
        )
    return latest


def _baseline(history: History, later: Run) -> Run:
    found = earlier_like(history, later, 1)
    if not found:
        raise UnknownEvidence(
            f"no earlier load test of {later.subject!r} on {later.target!r} has passed",
            hint="Name the run to compare with: crmops load compare A B.",
        )
    return found[0]
