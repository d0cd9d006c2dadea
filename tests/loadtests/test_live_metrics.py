"""A run's own metrics: clean, documented, and the numbers that the run has counted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from crmops.binaries import need_binary
from crmops.errors import CannotRun
from crmops.verdict import Objective
from loadtests.buckets import MICROS, Buckets
from loadtests.child.books import Books
from loadtests.live import Live, look
from loadtests.live_metrics import BOUNDS, CATALOGUE, Board, cumulative, registry_of, served
from loadtests.result import Result
from loadtests.schedule import PhaseClock

from .conftest import SETTINGS, SMALL

DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def promtool(text: str) -> str:
    done = subprocess.run(
        [need_binary("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}".strip()


class Judged:
    """What the made-up run is judged by."""

    workload, settings = SMALL, SETTINGS
    objectives = (
        Objective(measure="response_time.p95", limit=1, minimum_samples=20),
        Objective(measure="users", op=">=", limit=20),
    )


def made_up(slow: float = 0.03, lag: int = 2000, dropped: int = 0) -> Live:
    """A look at three seconds of a run, thirty calls in all."""
    books, result = Books(), Result(PhaseClock([("arrival", 1.5), ("work", 3.5)]))
    for at in (1, 2, 3):
        for number in range(10):
            outcome = "server" if number == 0 else "ok"
            key = ("contacts.get", "rep", "work", outcome)
            books.response.add(key, int(slow * MICROS))
        books.journeys.add(("browse_open", "rep", "work", "ok"), 90_000)
        books.counts.update({"scheduled": 100, "on_time": 99, "dropped": dropped, "held": 0})
        delayed = Buckets()
        delayed.add(lag)
        health = {
            "lag": delayed.pack(), "cpu": 0.1, "wall": 1.0, "rss": 1, "descriptors": 5,
            "descriptor_limit": 1024, "clock_step": 0.0,
        }  # fmt: skip
        delta = {"at": at, "present": {"rep": 19, "manager": 1}, "logged_in": 20, "queued": 0}
        result.take(0, {**delta, **books.hand_over(), "health": health})
    return look(result, Judged(), "01ARZ3NDEKTSV4RRFFQ69G5FAV")


def exposed(live: Live) -> str:
    board = Board("crm", "small")
    board.show(live)
    return generate_latest(registry_of(board)).decode()


def test_promtool_finds_nothing_wrong() -> None:
    text = exposed(made_up())
    assert promtool(text) == "0"
    said = {each.name: each.type for each in text_string_to_metric_families(text)}
    assert said == {each.name.removesuffix("_total"): each.type for each in CATALOGUE}


def test_every_metric_is_documented_and_the_reverse() -> None:
    part = DOCS.read_text().partition("## A load test's own metrics")[2]
    rows = re.findall(r"^\| `(crm_\w+)` \| (\w+) \| ([^|]*) \|", part, re.MULTILINE)
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert told == {each.name: (each.type, each.labels) for each in CATALOGUE}


def test_the_numbers_are_those_of_the_run() -> None:
    found = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposed(made_up(dropped=1)))
        for sample in family.samples
    }
    assert found["crm_load_run_users", "rep"] == 19
    assert found["crm_load_run_intended_total",] == 300
    assert found["crm_load_run_sent_on_time_total",] == 297
    assert found["crm_load_run_dropped_total",] == 3
    assert found["crm_load_run_requests_total", "ok", "contacts.get"] == 27
    assert found["crm_load_run_requests_total", "server", "contacts.get"] == 3
    assert found["crm_load_run_journeys_total", "browse_open", "ok"] == 3
    name = "crm_load_run_request_duration_seconds"
    assert found[f"{name}_bucket", "0.025", "contacts.get"] == 0
    assert found[f"{name}_bucket", "0.05", "contacts.get"] == 27
    assert found[f"{name}_count", "contacts.get"] == 27
    assert found[f"{name}_sum", "contacts.get"] == pytest.approx(27 * 0.03)
    assert found["crm_load_run_loop_lag_seconds",] == pytest.approx(0.002, rel=0.004)


def test_how_it_stands_is_what_it_would_be() -> None:
    def standing(live: Live) -> list[str]:
        checks = [each.verdict.value for each in live.judgement.checks]
        return [live.judgement.verdict.value, *checks]

    good, slow, late = made_up(), made_up(slow=2), made_up(lag=900_000)
    assert standing(good) == ["pass", "pass", "unknown"]  # people: known at the end only
    assert standing(slow) == ["fail", "fail", "unknown"]
    assert standing(late) == ["unknown", "pass", "unknown"]
    assert late.judgement.reason.startswith("the generator was overloaded: loop lag p99 0.9")
    doubt = made_up(dropped=1).judgement
    assert (doubt.verdict.value, doubt.reason[:9]) == ("unknown", "3 of 0 ar")
    nothing = look(Result(PhaseClock([("work", 5)])), Judged(), "x")
    assert nothing.judgement.reason == "no request was answered yet"
    for live, verdict in ((good, "pass"), (slow, "fail"), (nothing, "unknown")):
        assert f'crm_load_run_verdict{{verdict="{verdict}"}} 1.0' in exposed(live)


@given(st.lists(st.integers(0, 60 * MICROS), max_size=60))
def test_a_histogram_counts_each_duration_once(values: list[int]) -> None:
    buckets = Buckets()
    for each in values:
        buckets.add(each)
    found = cumulative(buckets)
    assert [bound for bound, _ in found] == [*map(repr, BOUNDS), "+Inf"]
    assert found[-1][1] == len(values)
    for bound, count in zip(BOUNDS, (number for _, number in found), strict=False):
        surely = sum(each <= bound * MICROS * 0.992 for each in values)
        perhaps = sum(each <= bound * MICROS * 1.008 for each in values)
        assert surely <= count <= perhaps


def test_a_port_that_is_taken_is_named() -> None:
    with served(Board("crm", "small"), "127.0.0.1", 0) as url:
        assert httpx.get(url, trust_env=False).status_code == 200
        port = int(url.rpartition(":")[2].partition("/")[0])
        with (
            pytest.raises(CannotRun, match=f"cannot listen on 127.0.0.1:{port}: address already"),
            served(Board("crm", "small"), "127.0.0.1", port),
        ):
            pass
