"""The slowest requests, and what the reference CRM says about them."""

from __future__ import annotations

import httpx

from crmops.execute import executing
from crmops.history import History
from crmops.record import Kind, Verdict
from crmops.secret import Secret
from loadtests.result import Result
from loadtests.schedule import PhaseClock
from loadtests.serverside import look_up_spans, span_findings
from tests.conftest import RefcrmServer, TargetFactory

TRACE = "5a" * 16


def slow_search(server: RefcrmServer) -> Result:
    """A request that carries a trace id and wants it kept, as one of the slowest of a result."""
    headers = {
        "authorization": f"Bearer {server.admin_token}",
        "traceparent": f"00-{TRACE}-{'1' * 16}-01",
    }
    address = f"{server.url}/api/v1/contacts/search"
    httpx.get(address, params={"q": "an"}, headers=headers, trust_env=False).raise_for_status()
    result = Result(PhaseClock([("work", 1.0)]))
    result.slowest = [
        {"operation": "contacts.search", "seconds": 0.9, "trace": TRACE, "at": 1.0},
        {"operation": "contacts.search", "seconds": 0.8, "trace": TRACE, "at": 1.0},
        {"operation": "deals.list", "seconds": 0.7, "trace": "00" * 16, "at": 1.0},
    ]
    return result


def test_the_slow_query_is_named(
    refcrm_server: RefcrmServer, target_factory: TargetFactory, history: History
) -> None:
    result = slow_search(refcrm_server)
    look_up_spans(target_factory(), result)
    first, _, unknown = result.slowest
    assert first["server"]["span"] == "GET /api/v1/{entity}/search"
    assert 0 < first["server"]["database_seconds"] <= first["server"]["seconds"]
    assert first["server"]["database_calls"] > 0
    assert "server" not in unknown
    with executing(history, Kind.LOAD, "crm", "small") as execution:
        span_findings(execution, result)
        execution.conclude(Verdict.PASS, "seen")
    (finding,) = execution.run.findings
    assert finding.title.startswith("slowest contacts.search: 900 ms, of it ")
    assert finding.title.endswith(" in GET /api/v1/{entity}/search")
    assert "database calls took" in finding.detail
    assert finding.subject == "contacts.search"


def test_who_may_not_look_gets_no_spans_and_is_told(
    refcrm_server: RefcrmServer, target_factory: TargetFactory, history: History
) -> None:
    result = slow_search(refcrm_server)
    rep = refcrm_server.username("rep")
    look_up_spans(target_factory(username=rep), result)
    assert not any("server" in each for each in result.slowest)
    assert result.spans_problem
    assert refcrm_server.password not in result.spans_problem
    result = slow_search(refcrm_server)
    look_up_spans(target_factory(password=Secret("wrong")), result)
    assert not any("server" in each for each in result.slowest)
    look_up_spans(target_factory("rest"), result)  # a connector without this power
    assert not any("server" in each for each in result.slowest)
