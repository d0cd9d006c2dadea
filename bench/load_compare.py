"""Whether `crmops load compare` tells a slower build from the same one, again and again.

A reference CRM serves pairs of short load tests.  Of two runs of the same build the second must
be called same; with 30 ms more on one operation it must be called worse, for that operation
alone.  The machine may be busy with other things: the runs before the first pair show how much,
and a run that leaves it undecided (exit code 3) is repeated, four times at most.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable

from bench._load_lab import Lab, lab
from crmops.history import History, open_history
from crmops.record import Verdict
from crmops.verdict import Objective
from loadtests.assignment import prepare
from loadtests.compare.cli import compare_loads
from loadtests.compare.comparable import lagging
from loadtests.compare.noise import MOST_RUNS
from loadtests.compare.runs import Load, read_load
from loadtests.compare.table import Comparison
from loadtests.compare.words import Rules, Word
from loadtests.run import run_load
from loadtests.settings import Settings
from loadtests.workload import Workload

PLANTED, EXTRA = "contacts.search", 0.030
BEFORE = 8
REPEATS = 4
RULES = Rules(blind_seconds=0.5)
"""On a machine with much other work all operations together may be ten times slower for a while:
that much must not leave every comparison undecided here.  It does not touch what is called worse.
"""
WORKLOAD = Workload.model_validate(
    {
        "name": "steady",
        "summary": "a steady day, hastier than life",
        "users": 120,
        "pace": 0.05,
        "phases": [
            {"name": "arrival", "seconds": 8, "within": 3, "judged": False},
            {"name": "work", "seconds": 10},
        ],
        "roles": {"rep": {"share": 1, "journeys": {"browse_open": 3, "search": 5}}},
    }
)
SETTINGS = Settings(
    objectives=(
        Objective(measure="response_time.p50", limit=10),
        Objective(measure="error.ratio", limit=0.05),
    )
)


def main() -> int:
    """Run the pairs and print what they were called; 0 if every one was right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=20)
    tries = parser.parse_args().tries
    with lab(users=160) as crm:
        place = crm.place / "state"
        place.mkdir()
        history = open_history(f"sqlite:///{place / 'history.db'}", place / "artifacts")
        try:
            return _pairs(crm, history, tries)
        finally:
            history.close()


def _pairs(crm: Lab, history: History, tries: int) -> int:
    plain: list[Load] = []
    while len(plain) < BEFORE:
        measured = _run(crm, history)
        plain += [] if lagging(measured) else [measured]
    same: Counter[str] = Counter()
    slower: Counter[str] = Counter()
    for number in range(1, tries + 1):
        word, measured = _decided(number, "same build", plain, lambda: _run(crm, history))
        same[word] += 1
        word, _ = _decided(number, "slower build", plain, lambda: _planted(crm, history))
        slower[word] += 1
        plain.append(measured)
    good = same == {"same": tries} and slower == {f"worse: {PLANTED}": tries}
    print(f"same build: {dict(same)}; {EXTRA * 1000:.0f} ms more on {PLANTED}: {dict(slower)}")
    ratios = {
        "same called same": same["same"] / tries,
        "slower called worse": slower[f"worse: {PLANTED}"] / tries,
    }
    targets = dict.fromkeys(ratios, 1.0)
    line = {"bench": "load_compare", "ratios": ratios, "targets": targets, "met": good}
    print(json.dumps({**line, "tries": tries}))
    return 0 if good else 1


def _decided(
    number: int, what: str, plain: list[Load], measure: Callable[[], Load]
) -> tuple[str, Load]:
    """What a new run is called; where the samples are too few it is repeated, and that is said."""
    for _ in range(REPEATS + 1):
        measured = measure()
        held_up = lagging(measured)
        if held_up or measured.run.verdict is not Verdict.PASS:
            print(f"{number:3} {what}: repeated, {held_up or measured.run.reason}", flush=True)
            continue
        made = compare_loads(plain[-1], measured, plain[-MOST_RUNS:], RULES)
        _say(number, what, made)
        if made.word is not Word.FEW:
            worse = [each.operation for each in made.operations if each.word is Word.WORSE]
            return f"worse: {', '.join(worse)}" if worse else made.word.value, measured
    return "undecided", plain[-1]


def _planted(crm: Lab, history: History) -> Load:
    with crm.faults(latency_seconds=EXTRA, latency_paths=["/api/v1/contacts/search"]):
        return _run(crm, history)


def _run(crm: Lab, history: History) -> Load:
    run = run_load(prepare(crm.target(), WORKLOAD, SETTINGS), history)
    return read_load(history, run)


def _say(number: int, what: str, made: Comparison) -> None:
    medians = {
        each.operation: f"{(each.differences[0].difference or 0) * 1000:+.1f}"
        for each in made.operations
    }
    print(f"{number:3} {what}: {made.word}; {made.reason}; medians, ms: {medians}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
