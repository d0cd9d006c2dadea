"""Logging in, tokens that end, limits, and the log of who did what."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcrm.limits import RateLimiter
from refcrm.passwords import check_password, hash_password
from tests.conftest import RefcrmServer
from tests.refcrm.conftest import Serve

Database = psycopg.Connection[tuple[Any, ...]]


def log_in(url: str, username: str, password: str) -> httpx.Response:
    body = {"username": username, "password": password}
    return httpx.post(f"{url}/api/v1/login", json=body, trust_env=False)


def test_the_log_in_says_who_one_is(refcrm_server: RefcrmServer) -> None:
    name = refcrm_server.username("rep")
    reply = log_in(refcrm_server.url, name, refcrm_server.password)
    assert reply.status_code == 200
    body = reply.json()
    assert set(body) == {"token", "expires_in", "user"}
    assert body["expires_in"] > 3600
    assert (body["user"]["username"], body["user"]["role"]) == (name, "rep")
    assert body["user"]["team_id"]


@pytest.mark.parametrize(("name", "password"), [("rep0001", "wrong"), ("nobody", "x"), ("", "")])
def test_wrong_names_and_passwords_look_alike(
    refcrm_server: RefcrmServer, name: str, password: str
) -> None:
    reply = log_in(refcrm_server.url, name, password)
    assert reply.status_code == 401
    message = "the user name or the password is wrong"
    assert reply.json() == {"error": {"code": "invalid_credentials", "message": message}}


def test_log_out_ends_the_token(refcrm_server: RefcrmServer) -> None:
    head = {"authorization": f"Bearer {refcrm_server.token('integration')}"}
    with httpx.Client(base_url=f"{refcrm_server.url}/api/v1", headers=head) as http:
        assert http.get("/me").status_code == 200
        assert http.post("/logout").status_code == 204
        assert http.get("/me").json()["error"]["code"] == "invalid_token"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "missing_token"),
        ("Bearer nonsense", "invalid_token"),
        ("Basic YTpi", "invalid_token"),
        ("Bearer", "invalid_token"),
        ("Bearer \xff\xfe", "invalid_token"),
    ],
)
def test_without_a_good_token_nothing_is_shown(
    refcrm_server: RefcrmServer, header: str | None, code: str
) -> None:
    head = {} if header is None else {b"authorization": header.encode("latin-1")}
    for path in ("/contacts", "/contacts/1", "/access-log", "/bulk/contacts/export"):
        reply = httpx.get(f"{refcrm_server.url}/api/v1{path}", headers=head, trust_env=False)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, code)
        assert reply.headers["www-authenticate"] == "Bearer"


def test_a_stale_token_says_so_and_limits_say_when(
    refcrm_server: RefcrmServer, serve: Serve
) -> None:
    with serve("--token-seconds", "2", "--rate", "1", "--burst", "3") as url:
        token = log_in(url, "admin", refcrm_server.password).json()["token"]
        head = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"{url}/api/v1", headers=head, trust_env=False) as http:
            replies = [http.get("/me") for _ in range(5)]
            assert [reply.status_code for reply in replies[:3]] == [200] * 3
            assert replies[-1].status_code == 429
            assert replies[-1].json()["error"]["code"] == "throttled"
            assert int(replies[-1].headers["retry-after"]) >= 1
            # Another person is not held up.
            other = log_in(url, "integration", refcrm_server.password).json()["token"]
            assert http.get("/me", headers={"authorization": f"Bearer {other}"}).is_success
            time.sleep(2.1)
            assert http.get("/me").json()["error"]["code"] == "expired"
        # The servers share their sessions: the first one knows the token's end as well.
        reply = httpx.get(f"{refcrm_server.url}/api/v1/me", headers=head, trust_env=False)
        assert reply.json()["error"]["code"] == "expired"
        assert httpx.get(f"{url}/_faults", trust_env=False).status_code == 404


def test_a_storm_of_log_ins(refcrm_server: RefcrmServer) -> None:
    names = [one["username"] for one in refcrm_server.users]

    async def storm() -> list[int]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as http:
            bodies = [
                {"username": names[number % len(names)], "password": refcrm_server.password}
                for number in range(500)
            ]
            url = f"{refcrm_server.url}/api/v1/login"
            replies = await asyncio.gather(*(http.post(url, json=body) for body in bodies))
        return [reply.status_code for reply in replies]

    assert asyncio.run(storm()) == [200] * 500


def test_every_action_is_in_the_access_log(
    admin: httpx.Client, rep: httpx.Client, database: Database
) -> None:
    begun = database.execute("select now()").fetchone()
    assert begun is not None
    made = rep.post("/contacts", json={"name": "Logged"}).json()["id"]
    rep.get("/contacts?limit=1")
    rep.get(f"/contacts/{made}")
    rep.patch(f"/contacts/{made}", json={"title": "x"})
    rep.get("/contacts/search?q=zzz")
    rep.delete(f"/contacts/{made}")
    rep.get(f"/contacts/{made}")
    rep.get("/bulk/contacts/export")
    me = rep.get("/me").json()["id"]
    query = {"since": begun[0].isoformat(), "limit": "1000"}
    records = admin.get("/access-log", params=query).raise_for_status().json()["records"]
    mine = [
        (one["action"], one["record_id"], one["outcome"])
        for one in reversed(records)
        if one["user_id"] == me and one["entity"] == "contacts"
    ]
    assert mine == [
        ("create", made, "ok"), ("list", None, "ok"), ("open", made, "ok"),
        ("update", made, "ok"), ("search", None, "ok"), ("delete", made, "ok"),
        ("open", made, "missing"), ("export", None, "forbidden"),
    ]  # fmt: skip
    assert rep.get("/access-log").status_code == 403


@given(st.text(max_size=50))
def test_passwords_fit_their_own_hash_only(password: str) -> None:
    stored = hash_password(password, b"0123456789abcdef")
    assert check_password(password, stored)
    assert not check_password(password + "x", stored)
    assert not check_password(password, None)
    assert not check_password(password, "md5$abc")


def test_a_bucket_never_lets_more_than_its_burst_pass_at_once() -> None:
    limiter = RateLimiter(rate=0.001, burst=5)
    waits = [limiter.take(1) for _ in range(8)]
    assert waits[:5] == [0] * 5
    assert all(900 <= wait <= 1000 for wait in waits[5:])
    assert limiter.take(2) == 0
    free = RateLimiter(rate=0, burst=0)
    assert [free.take(1) for _ in range(100)] == [0] * 100
