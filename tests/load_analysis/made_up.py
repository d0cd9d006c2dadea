"""Load tests that never took place: known response times, stored like real ones."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from typing import Any

from crmops.execute import executing
from crmops.history import History
from crmops.record import Kind, Run, Unit, Verdict
from loadtests.buckets import Buckets
from loadtests.compare.runs import Load, as_load
from loadtests.recording import Key, Recording
from loadtests.workload import Workload

MEDIANS = {"contacts.list": 0.020, "contacts.get": 0.012, "deals.list": 0.025, "search": 0.030}
WORKLOAD = Workload.model_validate(
    {
        "name": "steady",
        "summary": "a steady day",
        "users": 100,
        "phases": [
            {"name": "arrival", "seconds": 5, "judged": False},
            {"name": "work", "seconds": 40},
        ],
        "roles": {"rep": {"share": 1, "journeys": {"browse_open": 1}}},
    }
)


def document(
    seed: int,
    *,
    extra: Mapping[str, float] | None = None,
    factor: float = 1.0,
    failing: Mapping[str, float] | None = None,
    calls: int = 10,
    spread: float = 0.6,
    **changes: Any,
) -> dict[str, Any]:
    """A result document: ``calls`` a second of each operation, lognormal around its median times
    ``factor`` plus its ``extra`` seconds; the whole run is a little slower or faster by chance.
    """
    rng = random.Random(seed)
    luck = factor * rng.lognormvariate(0.0, 0.05)
    response, seconds = Recording(), []
    for at in range(int(WORKLOAD.seconds)):
        phase = "arrival" if at < 5 else "work"
        second = Buckets()
        for name, median in MEDIANS.items():
            for _ in range(calls):
                value = luck * median * rng.lognormvariate(0.0, spread)
                micros = int(1e6 * (value + (extra or {}).get(name, 0.0)))
                failed = rng.random() < (failing or {}).get(name, 0.0)
                response.add(Key(name, "rep", phase, "server" if failed else "ok"), micros)
                if not failed:
                    second.add(micros)
        seconds.append({"at": at, "phase": phase, "response": second.pack()})
    made = {
        "format": 1,
        "target": {"name": "crm", "connector": "refcrm", "environment": "test"},
        "workload": WORKLOAD.model_dump(mode="json"),
        "journeys": {"rep": {"browse_open": 1.0}},
        "seconds": seconds,
        "response": response.pack(),
    }
    return patched(made, changes)


def patched(made: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A document with some values changed, at any depth."""
    for name, value in changes.items():
        deeper = isinstance(value, Mapping) and isinstance(made.get(name), dict)
        made[name] = patched(dict(made[name]), value) if deeper else value
    return made


def stored(
    history: History,
    made: Mapping[str, Any],
    verdict: Verdict = Verdict.PASS,
    reason: str = "all objectives met",
    subject: str = "steady",
    lag: float = 0.003,
) -> Run:
    """The document as a run of the history."""
    with executing(history, Kind.LOAD, "crm", subject) as execution:
        execution.attach("result.json", json.dumps(made))
        execution.measure("instrument.loop_lag.p99", lag, Unit.SECONDS, 800)
        execution.conclude(verdict, reason)
    return execution.run


def load(seed: int, **shape: Any) -> Load:
    """A run that is in no history."""
    from crmops.record import new_run

    return as_load(new_run(Kind.LOAD, "crm", "steady"), document(seed, **shape))


def close(one: float, two: float, share: float) -> bool:
    """Whether two numbers agree to a share of the second."""
    return math.isclose(one, two, rel_tol=share)
