"""How much an audit of a CRM is felt by 500 people who work with it.

A reference CRM serves the workday of the load tests, as quick as life.  In every second window all
suites are audited, gently, again and again; the windows between are calm.  What is compared is the
median of the windows' 95th percentiles, so that one window spoilt by something else counts little.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from bench._load_lab import Lab, lab
from crmops.history import open_history
from crmops.record import Run, Verdict
from dq_checks.catalogue import find_suites
from dq_checks.client import AuditWorker
from dq_checks.run import Audit, run_suites
from dq_checks.settings import Settings as AuditSettings
from loadtests.assignment import prepare
from loadtests.catalogue import find_workload
from loadtests.live import Live
from loadtests.run import run_load
from loadtests.settings import Settings
from loadtests.workload import Workload

TARGET = 1.10
ARRIVAL, TURN = 30.0, 8.0
"""Seconds for everybody to log in, and between two windows, for what was begun to end."""

LAST = 300.0
FEWEST = 3
"""Windows of each kind, at least."""

CALM, AUDITED = "calm", "audited"


@dataclass
class Auditor:
    """Audits suite after suite while it is told to; knows in which phases it did."""

    url: str
    state: Path
    wanted: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    phase: str = ""
    runs: list[Run] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)

    def watch(self, live: Live) -> None:
        """Follow the load test from phase to phase."""
        self.phase = live.phase
        if live.phase.startswith(AUDITED):
            self.wanted.set()
        else:
            self.wanted.clear()

    def work(self) -> None:
        """Audit until it is over and every suite had its turn; each is a Run of a history."""
        history = open_history(f"sqlite:///{self.state / 'audits.db'}", self.state / "audits")
        settings = AuditSettings(pace="gentle")
        audit = Audit("lab", self.url, settings, history)
        known = find_suites()
        suites = cycle(known.values())
        with AuditWorker() as worker:
            while not self.over.is_set() or len(self.runs) < len(known):
                if not (self.wanted.wait(0.2) or self.over.is_set()):
                    continue
                self.busy.add(self.phase)
                self.runs += run_suites(audit, [next(suites)], worker)
                self.busy.add(self.phase)
        history.close()


def workload(users: int, pairs: int, seconds: float) -> Workload:
    """The people of the workday, in windows by turns."""
    day = find_workload("workday", Settings()).model_dump()
    phases: list[dict[str, Any]] = [
        {"name": "arrival", "seconds": ARRIVAL, "within": ARRIVAL - 5, "judged": False}
    ]
    for number in range(1, pairs + 1):
        for kind in (CALM, AUDITED):
            phases.append({"name": f"to_{kind}_{number}", "seconds": TURN, "judged": False})
            phases.append({"name": f"{kind}_{number}", "seconds": seconds})
    return Workload.model_validate({**day, "name": "live", "users": users, "phases": phases})


def measure(crm: Lab, users: int, pairs: int, seconds: float) -> tuple[Run, Auditor]:
    """One load test, audited in every second window."""
    state = crm.place / "state"
    state.mkdir()
    auditor = Auditor(crm.database, state)
    history = open_history(f"sqlite:///{state / 'history.db'}", state / "artifacts")
    thread = threading.Thread(target=auditor.work)
    thread.start()
    try:
        settings = Settings(cleanup=False)
        assignment = prepare(crm.target(), workload(users, pairs, seconds), settings)
        return run_load(assignment, history, watch=auditor.watch), auditor
    finally:
        auditor.phase = "after"
        auditor.over.set()
        thread.join(LAST)
        history.close()


def windows(run: Run, kind: str, pairs: int, without: set[str]) -> list[float]:
    """The 95th percentile of every window of a kind, in milliseconds."""
    names = [f"{kind}_{number}" for number in range(1, pairs + 1)]
    wanted = [each for each in names if each not in without]
    found = [run.measure(f"response_time.p95{{phase={each}}}") for each in wanted]
    return [each.value * 1000 for each in found if each is not None and each.value is not None]


def report(run: Run, auditor: Auditor, pairs: int) -> bool:
    """Print the windows and the line of JSON."""
    spilt = {each for each in auditor.busy if each.startswith(CALM)}
    calm, audited = (windows(run, kind, pairs, spilt) for kind in (CALM, AUDITED))
    for kind, found in ((CALM, calm), (AUDITED, audited)):
        shown = " ".join(f"{each:7.1f}" for each in found)
        print(f"{kind:8} p95 of each window, ms: {shown}")
    if spilt:
        print(f"not calm, for an audit went on: {', '.join(sorted(spilt))}")
    ended = [each for each in auditor.runs if each.verdict in (Verdict.PASS, Verdict.FAIL)]
    errors = {each.subject: each.reason for each in auditor.runs if each not in ended}
    seconds = [each.value for run in ended if (each := run.measure("audit.seconds")) and each.value]
    print(f"{len(ended)} audits ended, {sum(seconds):.1f} s long together; not ended: {errors}")
    print(f"load: {run.verdict}, {run.reason}")
    complete = min(len(calm), len(audited)) >= min(FEWEST, pairs)
    medians = [round(statistics.median(each), 1) for each in (calm, audited) if complete]
    ratio = round(medians[1] / medians[0], 3) if complete else None
    met = (
        ratio is not None and ratio < TARGET and not errors
        and {each.subject for each in ended} == {*find_suites()}
    )  # fmt: skip
    result = {
        "bench": "audit_live", "ratios": {"p95 audited/calm": ratio}, "p95_ms": medians,
        "audits": len(ended), "targets": {"p95 audited/calm": TARGET}, "met": met,
    }  # fmt: skip
    print(json.dumps(result))
    return met


def main() -> int:
    """Measure and print; 0 if the people did not feel it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--contacts", type=int, default=20_000)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=18)
    options = parser.parse_args()
    with lab(users=options.users + 50, contacts=options.contacts) as crm:
        run, auditor = measure(crm, options.users, options.pairs, options.seconds)
        return 0 if report(run, auditor, options.pairs) else 1


if __name__ == "__main__":
    sys.exit(main())
