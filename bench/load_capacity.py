"""Whether `crmops load capacity` finds a ceiling that is known beforehand, three times of three.

People share one integration login, as clients of an API quota do, and the reference CRM allows
that login so many requests a second.  Nobody's think times vary, so how many requests a second a
person sends follows from the journey: calls over think times and pauses, plus the response times,
which are measured.  The quota over that rate is the number of people that it carries.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys

from bench._load_lab import Lab, lab
from crmops.history import History, open_history
from crmops.record import Run
from crmops.verdict import Objective
from loadtests.assignment import prepare
from loadtests.capacity.attempts import Attempts, steady
from loadtests.capacity.run import find_capacity
from loadtests.capacity.search import Rules, Search
from loadtests.capacity.steps import Step
from loadtests.run import run_load
from loadtests.settings import Samples, Settings
from loadtests.workload import Workload

QUOTA, BURST = 60.0, 15.0
NEAR = 0.10
CALLS, THINKS, PAUSE, PACE = 6, 3 * (8 + 20), 10.0, 0.05
"""Of the journey browse_open: three lists and three records, 8 and 20 seconds after each pair."""

WORKLOAD = Workload.model_validate(
    {
        "name": "quota",
        "summary": "clients of one integration login",
        "users": 10,
        "pace": PACE,
        "phases": [{"name": "work", "seconds": 10}],
        "roles": {
            "rep": {
                "share": 1,
                "pause": PAUSE,
                "spread": 0,
                "deep": 0,
                "journeys": {"browse_open": 1},
            }
        },
    }
)
SETTINGS = Settings(
    objectives=(
        Objective(measure="throttled.ratio", limit=0.02),
        Objective(measure="error.ratio", limit=0.02),
        Objective(measure="response_time.p50", limit=1.0),
    ),
    samples=Samples(p50=20, ratio=50),
)


def main() -> int:
    """Search three times and print what was found; 0 if each was near enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12)
    options = parser.parse_args()
    limits = ("--rate", f"{QUOTA:g}", "--burst", f"{BURST:g}")
    with lab(users=30, contacts=1000, more=limits) as crm:
        place = crm.place / "state"
        place.mkdir()
        history = open_history(f"sqlite:///{place / 'history.db'}", place / "artifacts")
        try:
            return _searches(crm, history, options.tries, options.seconds)
        finally:
            history.close()


def _searches(crm: Lab, history: History, tries: int, seconds: float) -> int:
    shared = crm.target(shared=400)
    few = steady(WORKLOAD, 10, seconds, 6)
    service = _mean(run_load(prepare(shared, few, SETTINGS), history))
    truth = QUOTA / (CALLS / ((THINKS + PAUSE) * PACE + CALLS * service))
    print(f"the quota of {QUOTA:g} requests a second carries {truth:.1f} people", flush=True)
    misses = []
    for number in range(1, tries + 1):
        attempts = Attempts(shared, WORKLOAD, SETTINGS, history, seconds, 6)
        run = find_capacity(attempts, Rules(start=10, most=400), told=_say)
        found = {each.name: each.value for each in run.measures}
        users = found["capacity.users"] or 0.0
        misses.append(users / truth - 1)
        first = "; ".join(each.title for each in run.findings)
        print(f"{number}: {run.verdict}, {run.reason}; {misses[-1]:+.1%}; {first}; {found}")
    good = all(abs(each) <= NEAR for each in misses)
    near = sum(abs(each) <= NEAR for each in misses)
    print(
        f"within {NEAR:.0%} of the truth: {near} of {tries}; mean {statistics.fmean(misses):+.1%}"
    )
    ratios = {f"try {number}": round(1 + miss, 4) for number, miss in enumerate(misses, start=1)}
    targets = {"least": 1 - NEAR, "most": 1 + NEAR}
    line = {"bench": "load_capacity", "ratios": ratios, "targets": targets, "met": good}
    print(json.dumps(line))
    return 0 if good else 1


def _mean(run: Run) -> float:
    found = run.measure("response_time.p50")
    return found.value if found and found.value else 0.0


def _say(search: Search, step: Step) -> None:
    low, high = search.posterior.interval()
    print(
        f"   {step.users:>4} people {step.outcome}, {step.throughput or 0:.1f}/s; "
        f"now {low:.0f} to {high:.0f}; {step.reason}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
