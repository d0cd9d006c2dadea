"""What the connectors make of answers that a real CRM does not give on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crmops.connectors import connect
from crmops.connectors.base import Connector
from crmops.errors import ConfigError
from crmops.outcome import CallFailed, Outcome

KINDS = [("refcrm", {}), ("rest", {"profile": "refcrm"})]
USER = {"id": "7", "username": "rep0001", "role": "rep"}


@pytest.fixture(params=KINDS, ids=[name for name, _ in KINDS])
def crm(request: pytest.FixtureRequest, offline: Any) -> Connector:
    """A connector for refcrm's API that nobody has logged in with."""
    name, options = request.param
    return connect(offline(name, options=options))


@pytest.fixture
def entered(crm: Connector, script: Any, ok: Any) -> Connector:
    """The connector after a login, its token is ``one``."""
    script(ok({"token": "one", "user": USER})).run(crm.login("rep0001", "pässword"))
    return crm


def expired(ok: Any) -> Any:
    return ok({"error": {"code": "expired", "message": "the session ran out"}}, 401)


def test_a_session_that_ran_out_is_begun_anew_once(
    entered: Connector, script: Any, ok: Any
) -> None:
    fresh = ok({"token": "two", "user": USER})
    run = script(expired(ok), fresh, ok({"id": "9", "name": "n"}, 201))
    assert run.run(entered.create("account", {"name": "n"})).id == "9"
    assert [call.name for call in run.calls] == ["accounts.create", "login", "accounts.create"]
    assert [call.headers.get("authorization") for call in run.calls] == [
        "Bearer one",
        None,
        "Bearer two",
    ]
    assert run.body(1) == {"username": "rep0001", "password": "pässword"}
    assert run.body(0) == run.body(2) == {"name": "n"}


def test_a_session_that_runs_out_twice_is_a_problem(
    entered: Connector, script: Any, ok: Any
) -> None:
    run = script(expired(ok), ok({"token": "two", "user": USER}), expired(ok))
    with pytest.raises(CallFailed) as caught:
        run.run(entered.get("account", "9"))
    assert (caught.value.outcome, caught.value.code) == (Outcome.AUTH, "expired")
    assert len(run.calls) == 3


def test_no_new_login_for_another_refusal_or_after_logout(
    entered: Connector, script: Any, ok: Any
) -> None:
    run = script(ok({"error": {"code": "revoked", "message": "no"}}, 401))
    with pytest.raises(CallFailed, match="no"):
        run.run(entered.whoami())
    script(ok(None, 204)).run(entered.logout())
    with pytest.raises(CallFailed):
        script(expired(ok)).run(entered.whoami())


def test_logout_without_a_session_sends_nothing(crm: Connector, script: Any) -> None:
    assert script().run(crm.logout()) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "12"}, 12.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "-3"}, 0.0),
        (
            {
                "retry_after": "Sat, 21 Nov 2026 10:00:30 GMT",
                "date": "Sat, 21 Nov 2026 10:00:00 GMT",
            },
            30.0,
        ),
        ({"retry_after": "Sat, 21 Nov 2026 10:00:30 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_throttled_says_how_long_to_wait(
    crm: Connector, ok: Any, headers: dict[str, str], seconds: float | None
) -> None:
    problem = crm.classify(ok({"error": {"code": "throttled", "message": "m"}}, 429, **headers))
    assert problem is not None
    assert (problem.outcome, problem.retry_after) == (Outcome.THROTTLED, seconds)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (302, Outcome.SERVER),
        (400, Outcome.INVALID),
        (404, Outcome.MISSING),
        (408, Outcome.TIMEOUT),
        (409, Outcome.CONFLICT),
        (418, Outcome.INVALID),
        (503, Outcome.SERVER),
        (504, Outcome.TIMEOUT),
        (600, Outcome.SERVER),
    ],
)
def test_a_status_without_a_body_has_its_outcome(
    crm: Connector, ok: Any, status: int, outcome: Outcome
) -> None:
    for body in (None, b"<html>", ["odd"], {"error": "odd"}):
        problem = crm.classify(ok(body, status))
        assert problem is not None
        assert problem.outcome is outcome


def test_a_web_page_with_a_good_status_is_no_answer(crm: Connector, ok: Any) -> None:
    page = ok(b"<html>Down for maintenance</html>", content_type="text/html; charset=utf-8")
    problem = crm.classify(page)
    assert problem is not None
    assert (problem.outcome, problem.code) == (Outcome.SERVER, "web_page")


def test_bodies_are_read_only_when_somebody_looks(entered: Connector, script: Any, ok: Any) -> None:
    page = script(ok(b"no json")).run(entered.list("contact"))
    one = script(ok(b"no json")).run(entered.update("deal", "1", {"stage": "won"}))
    looks: list[Callable[[], object]] = [
        lambda: page.records,
        lambda: page.cursor,
        lambda: one["stage"],
        lambda: one.id,
    ]
    for look in looks:
        with pytest.raises(CallFailed) as caught:
            look()
        assert (caught.value.outcome, caught.value.code) == (Outcome.SERVER, "unreadable")


@pytest.mark.parametrize(
    "body", [[], {"records": {}}, {"records": [1]}, {"records": [{"name": "no id"}]}, None]
)
def test_a_page_of_another_shape_is_the_servers_problem(
    entered: Connector, script: Any, ok: Any, body: Any
) -> None:
    page = script(ok(body if body is not None else b"null")).run(entered.list("contact"))
    with pytest.raises(CallFailed) as caught:
        assert page.records
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": None, "user": USER}, b"x"])
def test_a_login_without_a_token_is_no_login(
    crm: Connector, script: Any, ok: Any, body: Any
) -> None:
    with pytest.raises(CallFailed) as caught:
        script(ok(body)).run(crm.login("rep0001", "p"))
    assert caught.value.outcome is Outcome.SERVER
    assert not crm.auth_headers()


def test_rows_that_an_import_does_not_name_are_a_problem(
    entered: Any, script: Any, ok: Any
) -> None:
    rows = [{"name": f"n{index}"} for index in range(1001)]
    first = ok({"imported": 1000, "ids": [str(index) for index in range(1000)], "rejected": []})
    second = ok({"imported": 0, "ids": [], "rejected": []})
    with pytest.raises(CallFailed, match="1 rows were sent, 0 accounted for") as caught:
        script(first, second).run(entered.bulk_import("contact", rows))
    assert caught.value.outcome is Outcome.SERVER
    assert caught.value.details.imported == 1000  # type: ignore[attr-defined]


def test_row_numbers_of_later_batches_count_from_the_first(
    entered: Any, script: Any, ok: Any
) -> None:
    rows = [{"name": f"n{index}"} for index in range(1001)]
    first = ok({"imported": 1000, "ids": [str(index) for index in range(1000)], "rejected": []})
    bad = {"row": 1, "field": "name", "reason": "no"}
    second = ok({"imported": 0, "ids": [], "rejected": [bad]})
    report = script(first, second).run(entered.bulk_import("contact", rows))
    assert (report.imported, report.rejected) == (1000, ((1001, "name", "no"),))


def test_refcrm_has_no_options(offline: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(offline("refcrm", options={"profile": "x"}))
    assert caught.value.message == (
        "target 'crm' has options profile, but connector 'refcrm' has none"
    )
