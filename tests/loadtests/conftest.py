"""Small load tests against the real reference CRM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crmops.history import History, open_history
from crmops.record import Run
from crmops.target import Target
from crmops.verdict import Objective
from loadtests.assignment import prepare
from loadtests.run import run_load
from loadtests.settings import Samples, Settings
from loadtests.workload import Workload

SMALL = Workload.model_validate(
    {
        "name": "small",
        "summary": "a few people in a hurry",
        "users": 20,
        "pace": 0.02,
        "phases": [
            {"name": "arrival", "seconds": 1.5, "within": 1},
            {"name": "work", "seconds": 3.5},
        ],
        "roles": {
            "rep": {
                "share": 0.95,
                "journeys": {"browse_open": 3, "search": 2, "move_deal": 3, "create_lead": 2},
            },
            "manager": {"share": 0.05, "journeys": {"manager_report": 1, "browse_open": 1}},
        },
    }
)
OBJECTIVES = (
    Objective(measure="response_time.p95", limit=10),
    Objective(measure="error.ratio", limit=0.05),
)
SETTINGS = Settings(objectives=OBJECTIVES, samples=Samples(p50=5, p95=20, p99=50, ratio=20))

Loaded = Callable[..., Run]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")
    yield opened
    opened.close()


@pytest.fixture
def load(history: History) -> Loaded:
    """Runs the small workload on a target, changed as asked for, and returns the Run."""

    def run(
        target: Target,
        workload: Workload = SMALL,
        settings: Settings = SETTINGS,
        **changes: Any,
    ) -> Run:
        return run_load(prepare(target, workload, settings), history, **changes)

    return run
