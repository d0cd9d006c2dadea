"""Every bad request gets its own clear refusal: a file each, with the exact answer beside it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import RefcrmServer

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "refcrm" / "requests"


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.request")))
def test_bad_request(admin: httpx.Client, name: str) -> None:
    head, _, body = (BAD / f"{name}.request").read_bytes().partition(b"\n\n")
    line, *more = head.decode().splitlines()
    method, _, path = line.partition(" ")
    headers = dict(one.split(": ", 1) for one in more)
    expected = json.loads((BAD / f"{name}.json").read_text(encoding="utf-8"))
    reply = admin.request(method, path, content=body, headers=headers)
    assert {"status": reply.status_code, "error": reply.json()["error"]} == expected


def test_every_answer_belongs_to_a_request() -> None:
    assert {p.stem for p in BAD.glob("*.json")} == {p.stem for p in BAD.glob("*.request")}


def test_a_body_without_end_is_cut(admin: httpx.Client) -> None:
    reply = admin.post("/contacts", content=b" " * 1_000_001)
    assert reply.status_code == 413
    message = "the body is larger than 1000000 bytes"
    assert reply.json() == {"error": {"code": "too_large", "message": message}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = ["name", "email", "mobile", "account_id", "birth_date", "stage", "amount", "close_date"]
NAMES += ["active", "due_at", "owner_id", "id", "filters", "sort", "limit", "cursor", "deal"]


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(
        ["/contacts", "/deals", "/users", "/activities", "/deals/query", "/leads/1/convert"]
    ),
    body=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4) | JSON,
)
def test_no_body_is_ever_a_server_error(admin: httpx.Client, path: str, body: object) -> None:
    reply = admin.post(path, content=json.dumps(body).encode("utf-8", "surrogatepass"))
    assert reply.status_code < 500, (path, body, reply.text)
    if reply.status_code >= 400:
        error = reply.json()["error"]
        assert error["code"]
        assert error["message"][0].islower() or error["message"][0].isdigit()


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    entity=st.sampled_from(["contacts", "deals", "products"]),
    rest=st.sampled_from(["", "/search", "/modified", "/deleted", "/1"]),
    query=st.dictionaries(
        st.sampled_from(["q", "limit", "cursor", "since", "owner", "name", "amount", "id"]),
        st.text(max_size=12),
        max_size=3,
    ),
)
def test_no_query_is_ever_a_server_error(
    admin: httpx.Client, entity: str, rest: str, query: dict[str, str]
) -> None:
    reply = admin.get(f"/{entity}{rest}", params=query)
    assert reply.status_code < 500, (query, reply.text)


def test_unknown_pages_are_json_too(refcrm_server: RefcrmServer) -> None:
    reply = httpx.get(f"{refcrm_server.url}/favicon.ico", trust_env=False)
    assert reply.status_code == 404
    assert reply.json() == {"error": {"code": "missing", "message": "the page does not exist"}}
