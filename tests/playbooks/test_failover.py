"""A failover on copies: the outage is what probes saw, and nothing acknowledged is lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.record import Kind, Verdict, utc_now
from playbooks.job import Check, Outcome, Stage
from playbooks.judge import FAILOVER_STAGES, Finished, judgement_of
from playbooks.outage import Observed, Seen, observing, outage_of
from playbooks.run import rehearse_failover
from playbooks.runner import Ending
from playbooks.step import run_stage
from tests.playbooks.conftest import Taken, nothing_left, prepared, with_settings


def probes(*problems: str) -> list[Seen]:
    """One a second, each takes half of it."""
    return [Seen(float(n), n + 0.5, each) for n, each in enumerate(problems)]


@pytest.mark.parametrize(
    ("problems", "outage"),
    [
        ((), None),
        (("", ""), 0.0),
        (("", "gone", ""), 2.0),
        (("", "gone", "", "gone", "", ""), 4.0),
        (("gone", ""), None),
        (("", "gone"), None),
    ],
)
def test_an_outage_is_what_nobody_could_work(problems: Sequence[str], outage: float | None) -> None:
    assert outage_of(probes(*problems)) == outage


@given(st.lists(st.sampled_from(["", "gone"])))
def test_an_outage_is_never_shorter_than_what_was_seen(problems: list[str]) -> None:
    seen = probes(*problems)
    found, bad = outage_of(seen), [each for each in seen if each.problem]
    if bad and found is not None:
        assert found >= bad[-1].ended - bad[0].began
    assert (found is None) == (not seen or bool(seen[0].problem or seen[-1].problem))


def test_what_was_seen_since() -> None:
    observed = Observed(probes("", "", "gone", "", ""))
    assert (observed.good_since(0), observed.good_since(3.5)) == (2, 1)
    assert (observed.bad_since(0), observed.bad_since(4)) == (2.5, None)


def test_a_row_that_may_not_be_stored_is_not_acknowledged() -> None:
    def write(number: int) -> None:
        if number % 2:
            raise OSError("gone")

    with observing(lambda: "", write, 0.001) as observed:
        while len(observed.acknowledged) < 5 or len(observed.seen) < 5:
            pass
    assert all(each % 2 == 0 for each in observed.acknowledged)
    assert not any(each.problem for each in observed.seen)


def test_rehearsal(taken: Taken) -> None:
    serve = [sys.executable, "-m", "refcrm", "serve", "--database", "{database_url}"]
    serve += ["--port", "0", "--ready-file", "{ready_file}"]
    room = with_settings(
        taken.room, smoke={"serve": serve, "timeout": 120}, failover={"outage_objective": 300}
    )
    run = rehearse_failover(room)
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 3 objectives met")
    held = {each.name: each.value or 0.0 for each in run.measures}
    parts = sum(held[f"outage.{each}"] for each in ("noticed", "promoted", "pointed"))
    assert parts > 0 and held["outage"] > 0 and held["probes.failed"] >= 1
    assert held["writes.lost"] == 0
    document = (room.state / "artifacts" / run.id / "evidence.json").read_text(encoding="utf-8")
    stages = [each["name"] for each in json.loads(document)["evidence"]["stages"]]
    assert stages[-3:] == ["stand_by", "fail_over", "tear_down"]
    nothing_left(room, run.id)


def test_an_application_that_does_not_work_is_an_error(taken: Taken) -> None:
    settings = {"amcheck": False, "smoke": {"serve": ["false"]}}
    with prepared(taken.room, taken.folder, **settings) as job:
        for name in ("fetch", "configure", "recover"):
            job.add(run_stage(job, name))
        stage = run_stage(job, "fail_over")
    assert (stage.outcome, stage.reason) == (
        Outcome.ERROR,
        "nobody could work even before the failover: the application ended with code 1",
    )


def test_what_was_not_measured_is_unknown_and_what_is_too_long_fails(taken: Taken) -> None:
    def judged(**facts: object) -> Verdict:
        stages = [
            Stage(name=each, begun=utc_now(), tick=0, seconds=1, outcome=Outcome.OK,
                  checks=(Check(name="c", passed=True),),
                  facts=facts if each == "fail_over" else {})
            for each in FAILOVER_STAGES
        ]  # fmt: skip
        with prepared(taken.room, taken.folder) as job:
            finished = Finished(job, Ending("successful"), tuple(stages), failover=True)
            return judgement_of(Kind.DRILL, job.settings, finished).verdict

    enough = {"probes": 100, "written": 100, "lost": 0}
    assert judged(**enough, outage=3.0) is Verdict.PASS
    assert judged(**enough, outage=61.0) is Verdict.FAIL
    assert judged(**{**enough, "lost": 1}, outage=3.0) is Verdict.FAIL
    for few in ({"probes": 5}, {"written": 5}, {"outage": None}):
        assert judged(**{**enough, "outage": 3.0, **few}) is Verdict.UNKNOWN
    assert judged() is Verdict.UNKNOWN
