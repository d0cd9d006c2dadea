"""Every fault knob does what it says, only when asked, and stops when told."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conftest import RefcrmServer
from tests.refcrm.conftest import Login

CALM = {
    "latency_seconds": 0.0,
    "latency_paths": [],
    "error_ratio": 0.0,
    "stall_seconds": 0.0,
    "stall_every_seconds": 0.0,
    "lost_write_ratio": 0.0,
    "sync_lag_seconds": 0.0,
    "locked_table": None,
    "leak_permission": False,
}


def took(client: httpx.Client, path: str) -> float:
    begun = time.monotonic()
    assert client.get(path).status_code == 200
    return time.monotonic() - begun


def test_knobs_are_shown_merged_and_cleared(refcrm_server: RefcrmServer) -> None:
    url = f"{refcrm_server.url}/_faults"
    with httpx.Client(trust_env=False) as http:
        assert http.get(url).json() == CALM
        assert http.put(url, json={"sync_lag_seconds": 2}).json()["sync_lag_seconds"] == 2
        both = http.put(url, json={"latency_paths": ["/nowhere"]}).json()
        assert both == {**CALM, "sync_lag_seconds": 2.0, "latency_paths": ["/nowhere"]}
        assert http.delete(url).status_code == 204
        assert http.get(url).json() == CALM


@pytest.mark.parametrize(
    ("knobs", "reasons"),
    [
        ({"error_ratio": 1.5}, {"error_ratio": "must be a number from 0 to 1"}),
        ({"latency_seconds": -1}, {"latency_seconds": "must be a number from 0 to 3600"}),
        ({"latency_seconds": "1"}, {"latency_seconds": "must be a number from 0 to 3600"}),
        ({"latency_paths": "/api"}, {"latency_paths": "must be a list of path prefixes"}),
        ({"leak_permission": 1}, {"leak_permission": "must be true or false"}),
        ({"slowness": 1}, {"slowness": "is not a fault knob"}),
    ],
)
def test_unfit_knobs_change_nothing(
    refcrm_server: RefcrmServer, knobs: dict[str, object], reasons: dict[str, str]
) -> None:
    reply = httpx.put(f"{refcrm_server.url}/_faults", json=knobs, trust_env=False)
    assert reply.status_code == 400
    assert reply.json()["error"]["fields"] == reasons
    assert httpx.get(f"{refcrm_server.url}/_faults", trust_env=False).json() == CALM


def test_only_administrators_with_a_token(rep: httpx.Client, refcrm_server: RefcrmServer) -> None:
    url = f"{refcrm_server.url}/_faults"
    assert rep.get(url).status_code == 403
    head = {"authorization": "Bearer nonsense"}
    assert httpx.get(url, headers=head, trust_env=False).status_code == 401


def test_latency_hits_its_paths(admin: httpx.Client, refcrm_server: RefcrmServer) -> None:
    with refcrm_server.faults(latency_seconds=0.4, latency_paths=["/api/v1/contacts"]):
        assert took(admin, "/contacts?limit=1") >= 0.4
        admin.get("/deals?limit=1").raise_for_status()
    spans = admin.get("/spans?slower_than=0.4").json()["spans"]
    assert all("contacts" in str(span) or span["seconds"] >= 0.4 for span in spans)


def test_errors_in_the_asked_share(admin: httpx.Client, refcrm_server: RefcrmServer) -> None:
    with refcrm_server.faults(error_ratio=0.5):
        codes = [admin.get("/me").status_code for _ in range(80)]
        assert httpx.get(f"{refcrm_server.url}/healthz", trust_env=False).status_code == 200
    assert set(codes) == {200, 500}
    assert 15 < codes.count(500) < 65
    assert {admin.get("/me").status_code for _ in range(20)} == {200}


def test_stalls_come_and_go(admin: httpx.Client, refcrm_server: RefcrmServer) -> None:
    with refcrm_server.faults(stall_seconds=0.5, stall_every_seconds=1000):
        assert took(admin, "/me") >= 0.2  # what is left of the stall that began with the knob
        codes = {admin.get("/me").status_code for _ in range(5)}
    assert codes == {200}


def test_lost_writes_look_done_and_are_not(rep: httpx.Client, refcrm_server: RefcrmServer) -> None:
    kept = rep.post("/deals", json={"name": "kept"}).json()
    with refcrm_server.faults(lost_write_ratio=1.0):
        made = rep.post("/deals", json={"name": "lost"})
        changed = rep.patch(f"/deals/{kept['id']}", json={"name": "other"})
        deleted = rep.delete(f"/deals/{kept['id']}")
        assert (made.status_code, changed.status_code, deleted.status_code) == (201, 200, 204)
        assert changed.json()["name"] == "other"
    assert rep.get(f"/deals/{made.json()['id']}").status_code == 404
    assert rep.get(f"/deals/{kept['id']}").json() == kept


def test_feeds_lag(rep: httpx.Client, refcrm_server: RefcrmServer) -> None:
    begun = rep.post("/deals", json={"name": "before"}).json()["updated_at"]
    feed = f"/deals/modified?since={begun}"
    with refcrm_server.faults(sync_lag_seconds=600):
        assert rep.get(feed).json()["records"] == []
    assert [one["name"] for one in rep.get(feed).json()["records"]] == ["before"]


def test_a_locked_table_holds_its_requests_only(
    login: Login, admin: httpx.Client, refcrm_server: RefcrmServer
) -> None:
    del login
    with ThreadPoolExecutor(1) as pool:
        with refcrm_server.faults(locked_table="cases"):
            held = pool.submit(admin.get, "/cases?limit=1", timeout=30)
            assert admin.get("/deals?limit=1").status_code == 200
            time.sleep(0.3)
            assert not held.done()
        assert held.result(10).status_code == 200
