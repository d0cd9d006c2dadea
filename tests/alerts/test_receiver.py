"""The receiver: every change once, nothing else, and never lost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from alerts.receiver import LARGEST_BODY
from crmops.firing import firing
from crmops.history import History
from crmops.record import Kind, Verdict
from tests.alerts.conftest import Receiver, alert, notification

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "alerts" / "notifications"
PATH = "/api/v1/alerts"


def post(client: httpx.Client, *alerts: dict[str, object]) -> dict[str, object]:
    answer = client.post(PATH, json=notification(*alerts))
    assert answer.status_code == 200, answer.text
    said: dict[str, object] = answer.json()
    return said


def test_fired_and_resolved_are_stored_once(receiver: Receiver, history: History) -> None:
    client = receiver()
    assert post(client, alert()) == {"stored": 1}
    assert post(client, alert()) == {"stored": 0}
    [run] = history.find(Kind.ALERT)
    assert (run.target, run.subject, run.verdict) == ("crm", "CrmProbeSlow", Verdict.FAIL)
    assert run.reason == "firing: CrmProbeSlow happens"
    assert [(each.severity, each.detail) for each in run.findings] == [
        ("critical", "alertname=CrmProbeSlow,severity=page,target=crm")
    ]
    assert firing(history) == [run]
    resolved = alert(status="resolved")
    assert post(client, resolved) == {"stored": 1}
    assert post(client, resolved, alert()) == {"stored": 0}
    newest = history.latest(Kind.ALERT, "crm", "CrmProbeSlow")
    assert newest is not None
    assert (newest.verdict, newest.reason) == (Verdict.PASS, "resolved: CrmProbeSlow happens")
    assert firing(history) == []


def test_resolved_is_the_newer_even_without_an_end(receiver: Receiver, history: History) -> None:
    client = receiver()
    resolved = {**alert(status="resolved"), "endsAt": None}
    assert post(client, alert(), resolved) == {"stored": 2}
    newest = history.latest(Kind.ALERT, "crm", "CrmProbeSlow")
    assert newest is not None
    assert newest.verdict is Verdict.PASS


def test_one_alert_may_fire_for_several(receiver: Receiver, history: History) -> None:
    client = receiver()
    post(client, alert(journey="login"), alert(journey="search", ago=600))
    post(client, alert(status="resolved", journey="search", ago=600))
    assert [each.findings[0].detail for each in firing(history, "crm", "CrmProbeSlow")] == [
        "alertname=CrmProbeSlow,journey=login,severity=page,target=crm"
    ]


def test_the_watchdog_is_good_news_while_it_fires(receiver: Receiver, history: History) -> None:
    client = receiver()
    post(client, alert("CrmWatchdog", severity="none"))
    assert firing(history) == []
    post(client, alert("CrmWatchdog", status="resolved", severity="none"))
    assert [each.reason for each in firing(history)] == ["resolved: CrmWatchdog happens"]


def test_names_and_targets_are_bounded(receiver: Receiver, history: History) -> None:
    """They are labels of metrics: whoever posts must not make series without end."""
    client = receiver()
    post(client, alert("x y <b>", target="crm-of-nobody"), alert("n" * 200, target="other"))
    assert {(each.target, each.subject) for each in history.find()} == {
        ("crm", "unnamed"),
        ("other", "unnamed"),
    }
    assert any("target=crm-of-nobody" in each.findings[0].detail for each in history.find())


@pytest.mark.parametrize("name", sorted(each.name for each in BAD.glob("*.json")))
def test_bad_notifications(name: str, receiver: Receiver, history: History) -> None:
    answer = receiver().post(PATH, content=(BAD / name).read_bytes())
    wanted = (BAD / name).with_suffix(".txt").read_text().strip()
    assert (answer.status_code, answer.json()) == (400, {"error": wanted})
    assert history.find() == []


def test_too_large(receiver: Receiver, history: History) -> None:
    client = receiver()
    answer = client.post(PATH, content=b" " * (LARGEST_BODY + 1))
    assert answer.status_code == 413
    assert answer.json() == {"error": "a notification has at most 1048576 bytes"}

    def drip() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 65536

    assert client.post(PATH, content=drip()).status_code == 413


def test_only_with_the_token(receiver: Receiver, history: History) -> None:
    client = receiver("alerts: {receiver_token: 'env:TOKEN'}\n")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret-token"}):
        answer = client.post(PATH, json=notification(alert()), headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"error": "the bearer token is missing or wrong"}
    assert history.find() == []
    client.headers["authorization"] = "Bearer s3cret-token"
    assert post(client, alert()) == {"stored": 1}
    assert "s3cret-token" not in json.dumps([each.dump() for each in history.find()])


def test_only_post(receiver: Receiver) -> None:
    assert receiver().get(PATH).status_code == 405


def test_a_locked_history_is_asked_again_later(
    receiver: Receiver, history: History, tmp_path: Path
) -> None:
    """503 makes Alertmanager try again; what it then brings is stored once."""

    def hurry(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout=200")

    sa.event.listen(history._engine, "connect", hurry)
    history.close()
    client = receiver()
    locker = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    answer = client.post(PATH, json=notification(alert()))
    assert (answer.status_code, answer.json()) == (
        503,
        {"error": "the history cannot be written now"},
    )
    locker.execute("ROLLBACK")
    locker.close()
    assert post(client, alert()) == {"stored": 1}


def test_a_broken_history_is_503(receiver: Receiver, history: History, tmp_path: Path) -> None:
    client = receiver()
    history.close()
    (tmp_path / "history.db").write_bytes(b"no database " * 1000)
    assert client.post(PATH, json=notification(alert())).status_code == 503
