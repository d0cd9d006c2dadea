"""The example profile walks the journeys over a CRM in memory that speaks its dialect."""

from __future__ import annotations

import random
from collections.abc import Callable

import httpx
import pytest

from crmops.connectors import connect
from crmops.connectors.base import Page
from crmops.drivers import converse, walk
from crmops.journeys import journey
from crmops.journeys._pick import tidy
from crmops.journeys.base import Person
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target

Handler = Callable[[httpx.Request], httpx.Response]
TARGET = Target(name="t", connector="rest", url="http://odata.test", options={"profile": "example"})


def http_for(handler: Handler) -> httpx.Client:
    return httpx.Client(base_url=TARGET.url, transport=httpx.MockTransport(handler))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "name", ["login", "browse_open", "search", "create_lead", "move_deal", "case_lifecycle"]
)
def test_journeys_end_well(name: str, seed: int, odata: Handler) -> None:
    crm = connect(TARGET)
    person = Person("app", "secret", tag="t", rng=random.Random(seed))
    with http_for(odata) as http:
        converse(crm.login("app", "secret"), http)
        result = walk(journey(name), crm, person, http)
        assert (result.outcome, result.detail) == (Outcome.OK, "")
        assert converse(tidy(crm, person), http) == []


def test_pages_follow_absolute_links(odata: Handler) -> None:
    crm = connect(TARGET)
    with http_for(odata) as http:
        converse(crm.login("app", "secret"), http)
        found: list[str] = []
        cursor: str | None = None
        for _ in range(5):
            page: Page = converse(crm.list("deal", limit=7, cursor=cursor), http)
            found += [one["id"] for one in page.records]
            cursor = page.cursor
        assert cursor is None
        assert len(set(found)) == len(found) == 30
        assert page.records[0]["stage"] == "prospecting"


def test_a_wrong_secret_is_auth(odata: Handler) -> None:
    with http_for(odata) as http, pytest.raises(CallFailed) as caught:
        converse(connect(TARGET).login("app", "wrong"), http)
    assert (caught.value.outcome, caught.value.code) == (Outcome.AUTH, "invalid_client")
