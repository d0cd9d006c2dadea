"""A run whose objectives are missed beyond hope is ended, and only such a one."""

from __future__ import annotations

import pytest

from crmops.record import Verdict
from crmops.verdict import Objective
from loadtests.breach import BreachWatch
from loadtests.live import Live
from loadtests.measures import Measures
from loadtests.result import Result
from loadtests.schedule import PhaseClock
from loadtests.settings import Abort, Settings
from loadtests.verdict import judge_run, with_samples
from tests.conftest import TargetFactory

from .conftest import SETTINGS, SMALL, Loaded
from .test_verdict import OBJECTIVES, WORKLOAD, delta

QUICK = Abort(on_breach=True, grace=2, seconds=2)


def watched(outcomes: dict[str, int], settings: Abort, *, until: int = 10) -> tuple[str, Result]:
    """The first word of a watch over the seconds of a run, all alike; and the result so far."""
    result = Result(PhaseClock([(each.name, each.seconds) for each in WORKLOAD.phases]))
    never = Objective(measure="users", op=">=", limit=1000)
    objectives = with_samples((*OBJECTIVES, never), Settings().samples)
    watch = BreachWatch(settings, WORKLOAD, objectives)
    for at in range(1, until + 1):
        result.take(0, delta(at, "warm" if at <= 5 else "day", outcomes))
        if word := watch.breach(result):
            return word, result
    return "", result


def test_a_lasting_breach_ends_the_run_after_the_grace_period() -> None:
    word, result = watched({"ok": 90, "server": 10}, QUICK)
    assert word == "stopped after 9 s: error.ratio is 0.1, not <= 0.01"
    result.stopped_on_breach = word
    settings = Settings()
    objectives = with_samples(OBJECTIVES, settings.samples)
    measures = Measures(result, WORKLOAD).all(each.measure for each in objectives)
    judgement = judge_run(result, WORKLOAD, measures, objectives, settings)
    assert (judgement.verdict, judgement.reason) == (Verdict.FAIL, word)


@pytest.mark.parametrize(
    ("outcomes", "settings"),
    [
        ({"ok": 100}, QUICK),
        ({"ok": 90, "server": 10}, Abort()),  # nobody asked
        ({"ok": 90, "server": 10}, Abort(on_breach=True, grace=6, seconds=0)),
        ({"ok": 90, "server": 10}, Abort(on_breach=True, grace=0, seconds=5)),
        ({"ok": 9, "server": 1}, QUICK),  # too few samples to say so
    ],
)
def test_the_run_goes_on(outcomes: dict[str, int], settings: Abort) -> None:
    assert watched(outcomes, settings)[0] == ""


def test_nobody_waits_for_the_obvious(load: Loaded, target_factory: TargetFactory) -> None:
    abort = Abort(on_breach=True, grace=1, seconds=1)
    objectives = (Objective(measure="response_time.p95", limit=1e-6),)
    settings = SETTINGS.model_copy(update={"abort": abort, "objectives": objectives})
    seen: list[Live] = []
    run = load(target_factory(), SMALL.changed(seconds=50), settings, watch=seen.append)
    assert run.verdict is Verdict.FAIL
    assert run.reason.startswith("stopped after ")
    assert ": response_time.p95 is 0." in run.reason
    assert seen[-1].at < 40
