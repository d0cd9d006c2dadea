"""The calendar of drills: done, due, overdue, missed, and never is not good news."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.cli import run as command
from crmops.history import History, open_history
from crmops.record import Kind, Run, Verdict, new_run, utc_now
from playbooks.calendar import State, read_calendar, state_of
from playbooks.settings import Agreed, Settings

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SETTINGS = Settings(owner="Ops", calendar=Agreed(approver="CIO", every=90 * 86400.0))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = open_history(f"sqlite:///{tmp_path / 'history.sqlite'}", tmp_path / "artifacts")
    yield made
    made.close()


def make_run(
    ended: datetime, verdict: Verdict = Verdict.PASS, subject: str = "restore", target: str = "crm"
) -> Run:
    run = new_run(Kind.DRILL, target, subject)
    return run.with_(begun=ended - timedelta(minutes=1), ended=ended, verdict=verdict, reason="r")


def record(history: History, *runs: Run) -> None:
    for each in runs:
        history.record(each)


def test_no_drill_at_all_is_unknown(history: History) -> None:
    record(history, make_run(NOW - DAY, target="other"), make_run(NOW - DAY, subject="mutate"))
    found = read_calendar(history, "crm", SETTINGS, NOW)
    assert (found.state, found.verdict, found.due) == (State.NEVER, Verdict.UNKNOWN, None)
    assert (found.owner, found.approver) == ("Ops", "CIO")


@pytest.mark.parametrize(
    ("age", "state", "verdict"),
    [
        (0, State.DONE, Verdict.PASS),
        (81, State.DONE, Verdict.PASS),
        (82, State.DUE, Verdict.PASS),
        (90, State.DUE, Verdict.PASS),
        (91, State.OVERDUE, Verdict.FAIL),
        (180, State.OVERDUE, Verdict.FAIL),
        (181, State.MISSED, Verdict.FAIL),
    ],
)
def test_one_drill(age: int, state: State, verdict: Verdict, history: History) -> None:
    record(history, make_run(NOW - age * DAY))
    found = read_calendar(history, "crm", SETTINGS, NOW)
    assert (found.state, found.verdict) == (state, verdict)
    assert found.due == NOW + (90 - age) * DAY


def test_a_failed_drill_keeps_no_occasion(history: History) -> None:
    record(
        history,
        make_run(NOW - 100 * DAY),
        make_run(NOW - 10 * DAY, Verdict.FAIL),
        make_run(NOW - 9 * DAY, Verdict.ERROR),
    )
    found = read_calendar(history, "crm", SETTINGS, NOW)
    assert (found.state, found.failed_since) == (State.OVERDUE, 2)
    record(history, make_run(NOW - DAY, subject="point-in-time"))
    found = read_calendar(history, "crm", SETTINGS, NOW)
    assert (found.state, found.failed_since, found.missed) == (State.DONE, 0, 0)
    assert found.occasions[0].late_seconds == (99 * DAY - 90 * DAY).total_seconds()


def test_missed_periods_stay_in_the_calendar(history: History) -> None:
    record(history, make_run(NOW - 300 * DAY), make_run(NOW - 10 * DAY))
    found = read_calendar(history, "crm", SETTINGS, NOW)
    assert (found.state, found.missed) == (State.DONE, 2)
    assert [each.missed for each in found.occasions] == [2, 0]


@given(st.integers(0, 1000), st.integers(1, 400), st.integers(0, 1000))
def test_waiting_never_makes_it_better(age: int, every: int, longer: int) -> None:
    order = list(State)
    early = state_of(NOW - age * DAY, every * DAY, NOW)
    late = state_of(NOW - age * DAY, every * DAY, NOW + longer * DAY)
    assert order.index(late) >= order.index(early)


def test_calendar_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crmops.yaml").write_text(
        f"state: {tmp_path}\nhistory: {{url: 'sqlite:///{tmp_path}/h.sqlite'}}\n"
        "targets:\n  crm: {connector: refcrm, url: 'http://127.0.0.1:9'}\n"
        "drills: {calendar: {owner: Ops, every: 30d}}\n"
    )
    assert command(["drill", "calendar", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["state"] == "never"
    history = open_history(f"sqlite:///{tmp_path / 'h.sqlite'}", tmp_path / "artifacts")
    record(history, make_run(utc_now() - 40 * DAY))
    history.close()
    assert command(["drill", "calendar", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["state"], said["verdict"], said["owner"]) == ("overdue", "fail", "Ops")
    assert command(["drill", "calendar"]) == 1
    assert "overdue" in capsys.readouterr().out
