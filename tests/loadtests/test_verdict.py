"""The verdict: the instrument is judged before the numbers are."""

from __future__ import annotations

from typing import Any

import pytest

from crmops.errors import ConfigError
from crmops.record import Verdict
from crmops.verdict import Judgement, Objective
from loadtests.buckets import Buckets
from loadtests.measures import Measures, split
from loadtests.recording import Key, Recording
from loadtests.result import Result
from loadtests.schedule import PhaseClock
from loadtests.settings import Settings
from loadtests.verdict import judge_run, with_samples
from loadtests.workload import Phase, Role, Workload

WORKLOAD = Workload(
    name="w",
    summary="w",
    users=10,
    phases=(
        Phase(name="warm", seconds=5, judged=False),
        Phase(name="day", seconds=5),
    ),
    roles={"rep": Role(share=1)},
)
OBJECTIVES = (
    Objective(measure="response_time.p95", limit=0.1),
    Objective(measure="error.ratio", limit=0.01),
)


def delta(at: float, phase: str, outcomes: dict[str, int], **changes: Any) -> dict[str, Any]:
    """One second of a generator: ``outcomes`` calls of 50 ms each."""
    response, lag = Recording(), Buckets()
    for outcome, count in outcomes.items():
        for _ in range(count):
            response.add(Key("contacts.get", "rep", phase, outcome), 50_000)
    for _ in range(20):
        lag.add(changes.get("lag", 100))
    health = {
        "lag": lag.pack(),
        "cpu": changes.get("cpu", 0.1),
        "wall": 1.0,
        "clock_step": changes.get("clock_step", 0.0),
        "rss": 1,
        "descriptors": 1,
        "descriptor_limit": 1024,
    }
    return {
        "at": at,
        "present": {"rep": changes.get("users", 10)},
        "logged_in": 10,
        "queued": 0,
        "response": response.pack(),
        "service": [],
        "wait": [],
        "journeys": [],
        "counts": {
            "scheduled": 100,
            "on_time": changes.get("on_time", 100),
            **changes.get("counts", {}),
        },
        "examples": [],
        "slowest": [],
        "health": health,
    }


def judged(
    *deltas: dict[str, Any], lost: str = "", given: tuple[Objective, ...] = OBJECTIVES
) -> Judgement:
    result = Result(PhaseClock([(each.name, each.seconds) for each in WORKLOAD.phases]))
    for each in deltas:
        result.take(0, each)
    result.lost = lost
    settings = Settings()
    objectives = with_samples(given, settings.samples)
    measures = Measures(result, WORKLOAD).all(each.measure for each in objectives)
    return judge_run(result, WORKLOAD, measures, objectives, settings)


def said(judgement: Judgement) -> tuple[str, str]:
    return judgement.verdict.value, judgement.reason


def test_enough_and_good_passes() -> None:
    assert said(judged(delta(7, "day", {"ok": 300}))) == ("pass", "all 2 objectives met")


def test_an_answer_that_was_reckoned_with_is_no_failure() -> None:
    assert judged(delta(7, "day", {"ok": 250, "expected": 50})).verdict is Verdict.PASS


def test_failures_fail() -> None:
    found = judged(delta(7, "day", {"ok": 300, "server": 30}))
    assert said(found) == ("fail", "error.ratio is 0.0909091, not <= 0.01")


def test_no_objectives_no_verdict() -> None:
    found = judged(delta(7, "day", {"ok": 300}), given=())
    assert said(found) == ("unknown", "no objective is set")


def test_what_never_happened_is_not_judged() -> None:
    never = (Objective(measure="response_time.p50{nothing.ever}", limit=10),)
    found = judged(delta(7, "day", {"ok": 300}), given=never)
    assert said(found) == ("unknown", "response_time.p50{nothing.ever} has no value")


def test_no_request_is_no_evidence() -> None:
    assert said(judged()) == ("unknown", "no request was sent")
    assert said(judged(delta(7, "day", {}))) == ("unknown", "no request was sent")


def test_too_few_samples_are_no_evidence() -> None:
    found = judged(delta(7, "day", {"ok": 150}))
    assert said(found) == ("unknown", "response_time.p95 rests on 150 samples, 200 are wanted")


def test_what_was_only_throttled_is_no_evidence_of_speed() -> None:
    found = judged(delta(7, "day", {"throttled": 500}))
    assert said(found) == ("unknown", "response_time.p95 has no value")


def test_phases_that_are_not_judged_do_not_count() -> None:
    found = judged(delta(2, "warm", {"server": 500}), delta(7, "day", {"ok": 300}))
    assert found.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"users": 9}, "9 of 10 people were reached"),
        (
            {"lag": 250_000},
            "the generator was overloaded: loop lag p99 0.250 s, 0.2 s allowed",
        ),
        ({"cpu": 0.95}, "the generator was overloaded: 95% of a core, 90% allowed"),
        ({"on_time": 90}, "90.0% of the scheduled calls left on time, 95% wanted"),
        ({"counts": {"held": 4}}, "the target's rate cap held 4 calls back"),
        ({"clock_step": -7.0}, "the clock stepped by -7.0 s"),
        (
            {"counts": {"dropped": 2, "arrivals": 50}},
            "2 of 50 arrivals were dropped: add people to the pool",
        ),
    ],
)
@pytest.mark.parametrize("outcome", ["ok", "server"])
def test_a_bad_instrument_neither_passes_nor_fails(
    changes: dict[str, Any], reason: str, outcome: str
) -> None:
    found = said(judged(delta(7, "day", {outcome: 300}, **changes)))
    assert found == ("unknown", reason)


def test_a_lost_generator_is_an_error_whatever_was_measured() -> None:
    found = judged(delta(7, "day", {"ok": 300}), lost="load generator 0 was killed by SIGKILL")
    assert said(found) == ("error", "load generator 0 was killed by SIGKILL")


def test_a_percentile_demands_its_samples() -> None:
    settings = Settings()
    wanted = with_samples(
        [
            Objective(measure="response_time.p99{contacts.get}", limit=1),
            Objective(measure="response_time.p95", limit=1, minimum_samples=5000),
            Objective(measure="users", op=">=", limit=1),
        ],
        settings.samples,
    )
    assert [each.minimum_samples for each in wanted] == [1000, 5000, 1]


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("error.ratio", {}),
        ("error.ratio{contacts.get}", {"operation": "contacts.get"}),
        ("response_time.p95{role=rep, phase=day}", {"role": "rep", "phase": "day"}),
        (
            "response_time.max{contacts.get,phase=day}",
            {"operation": "contacts.get", "phase": "day"},
        ),
    ],
)
def test_selectors(name: str, chosen: dict[str, str]) -> None:
    assert split(name) == (name.partition("{")[0], chosen)


@pytest.mark.parametrize("name", ["", "p95", "error.ratio{", "error.ratio{}", "users{a}{b}"])
def test_names_that_are_no_measure(name: str) -> None:
    with pytest.raises(ConfigError):
        split(name)


def test_a_selected_measure_is_of_its_part_only() -> None:
    result = Result(PhaseClock([("day", 10)]))
    recording = Recording()
    for micros, operation in ((10_000, "a"), (30_000, "b")):
        recording.add(Key(operation, "rep", "day", "ok"), micros)
    result.response = recording
    found = Measures(result, WORKLOAD).one("response_time.max{b}")
    assert (found.value, found.observed) == (0.03, 1)
    assert Measures(result, WORKLOAD).one("response_time.max{phase=warm}").value is None
