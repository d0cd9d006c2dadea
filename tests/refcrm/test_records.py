"""Creating, changing, deleting and converting records, also by many at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import RefcrmServer
from tests.refcrm.conftest import Login

Database = psycopg.Connection[tuple[Any, ...]]


def at_once(
    client: httpx.Client, method: str, path: str, bodies: list[dict[str, Any]]
) -> list[httpx.Response]:
    """The same request many times at the same moment."""

    async def send() -> list[httpx.Response]:
        base, head = client.base_url, client.headers
        async with httpx.AsyncClient(base_url=base, headers=head, trust_env=False) as http:
            return await asyncio.gather(*(http.request(method, path, json=b) for b in bodies))

    # In a thread: a test runner's own event loop may be running here.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, send()).result()


def test_a_record_lives(rep: httpx.Client) -> None:
    body = {
        "name": "Li Lei", "email": "li.lei@life.example", "mobile": "13900001111",
        "birth_date": "1990-02-28", "source_tag": "life",
    }  # fmt: skip
    made = rep.post("/contacts", json=body)
    assert made.status_code == 201
    record = made.json()
    assert {name: record[name] for name in body} == body
    assert record["owner_id"] == rep.get("/me").json()["id"]
    assert record["version"] == 1
    assert record["created_at"] == record["updated_at"]
    assert record["created_at"].endswith("Z")
    assert made.headers["etag"] == '"1"'
    place = f"/contacts/{record['id']}"
    assert rep.get(place).json() == record
    changed = rep.patch(place, json={"title": "CTO", "email": None}, headers={"if-match": '"1"'})
    assert changed.status_code == 200
    assert (changed.json()["title"], changed.json()["email"]) == ("CTO", None)
    assert changed.json()["version"] == 2
    assert changed.json()["updated_at"] > record["updated_at"]
    assert rep.delete(place).status_code == 204
    assert rep.get(place).status_code == 404
    assert rep.delete(place).status_code == 404
    deleted = rep.get("/contacts/deleted?since=2020-01-01T00:00:00Z&limit=1000").json()
    assert record["id"] in [one["id"] for one in deleted["records"]]


def test_values_come_back_as_they_went(rep: httpx.Client) -> None:
    deal = {"name": "东莞项目 🚀", "amount": 1234.5, "close_date": "2027-03-01", "stage": "won"}
    record = rep.post("/deals", json=deal).json()
    assert {name: record[name] for name in deal} == deal
    assert record["currency"] == "CNY"
    task = {"subject": "call", "kind": "call", "due_at": "2027-03-01T10:30:00+08:00"}
    assert rep.post("/activities", json=task).json()["due_at"] == "2027-03-01T02:30:00Z"
    cases = [rep.post("/cases", json={"subject": "help"}).json() for _ in range(2)]
    assert cases[0]["number"] != cases[1]["number"]
    assert (cases[0]["status"], cases[0]["priority"]) == ("open", "normal")


def test_the_second_of_two_changes_conflicts(rep: httpx.Client) -> None:
    place = f"/deals/{rep.post('/deals', json={'name': 'd'}).json()['id']}"
    assert rep.patch(place, json={"name": "e"}, headers={"if-match": "1"}).status_code == 200
    late = rep.patch(place, json={"name": "f"}, headers={"if-match": "1"})
    assert late.status_code == 409
    assert late.json() == {
        "error": {
            "code": "conflict",
            "message": "the record was changed meanwhile, read it again",
        }
    }
    assert rep.get(place).json()["name"] == "e"


def test_of_many_changes_of_one_version_one_wins(rep: httpx.Client) -> None:
    place = f"/deals/{rep.post('/deals', json={'name': 'race'}).json()['id']}"
    with httpx.Client(base_url=rep.base_url, headers={**rep.headers, "if-match": "1"}) as http:
        replies = at_once(http, "PATCH", place, [{"name": f"n{i}"} for i in range(12)])
    assert sorted(reply.status_code for reply in replies) == [200] + [409] * 11


def test_of_many_creates_of_one_person_one_wins(rep: httpx.Client, database: Database) -> None:
    body = {"name": "Race", "email": "race@race.example", "mobile": "13500000000"}
    replies = at_once(rep, "POST", "/contacts", [body] * 12)
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 11
    query = "select count(*) from contacts where email = 'race@race.example'"
    assert database.execute(query).fetchone() == (1,)
    made = next(reply for reply in replies if reply.status_code == 201).json()
    refused = next(reply for reply in replies if reply.status_code == 409).json()["error"]
    assert refused["code"] == "duplicate"
    assert refused["duplicates"] == [{"entity": "contacts", "id": made["id"], "name": "Race"}]
    again = rep.post("/contacts?allow_duplicate=true", json=body)
    assert again.status_code == 201
    other = rep.post("/leads", json={"name": "Race", "mobile": "13500000000"})
    assert {one["id"] for one in other.json()["error"]["duplicates"]} == {
        made["id"], again.json()["id"]
    }  # fmt: skip


def test_a_lead_is_converted_once(rep: httpx.Client) -> None:
    lead = {"name": "Wang", "company": "Wang & Co", "email": "w@wang.example", "source_tag": "t1"}
    number = rep.post("/leads", json=lead).json()["id"]
    deal = {"deal": {"name": "First order", "amount": 99.5}}
    replies = at_once(rep, "POST", f"/leads/{number}/convert", [deal] * 6)
    assert sorted(reply.status_code for reply in replies) == [200] + [409] * 5
    assert {r.json()["error"]["code"] for r in replies if r.status_code == 409} == {"converted"}
    made = next(reply for reply in replies if reply.status_code == 200).json()
    contact = rep.get(f"/contacts/{made['contact_id']}").json()
    assert (contact["name"], contact["email"]) == ("Wang", "w@wang.example")
    assert (contact["account_id"], contact["source_tag"]) == (made["account_id"], "t1")
    assert rep.get(f"/accounts/{made['account_id']}").json()["name"] == "Wang & Co"
    bought = rep.get(f"/deals/{made['deal_id']}").json()
    assert (bought["amount"], bought["contact_id"]) == (99.5, made["contact_id"])
    after = rep.get(f"/leads/{number}").json()
    assert after["status"] == "converted"
    assert after["converted_deal_id"] == made["deal_id"]


def test_a_lead_without_deal(rep: httpx.Client) -> None:
    number = rep.post("/leads", json={"name": "Solo"}).json()["id"]
    made = rep.post(f"/leads/{number}/convert").json()
    assert made["deal_id"] is None
    assert rep.get(f"/accounts/{made['account_id']}").json()["name"] == "Solo"


def test_deleting_leaves_no_orphans(rep: httpx.Client) -> None:
    account = rep.post("/accounts", json={"name": "Gone Ltd"}).json()["id"]
    contact = rep.post("/contacts", json={"name": "Stay", "account_id": account}).json()
    assert contact["account_id"] == account
    assert rep.delete(f"/accounts/{account}").status_code == 204
    after = rep.get(f"/contacts/{contact['id']}").json()
    assert (after["account_id"], after["version"]) == (None, 2)


def test_the_pipeline_adds_up(rep: httpx.Client, admin: httpx.Client, database: Database) -> None:
    count, amount = database.execute("select count(*), sum(amount) from deals").fetchone() or (0, 0)
    for by in ("stage", "owner", "region"):
        report = admin.get(f"/reports/pipeline?by={by}").json()
        assert report["total"] == {"count": count, "amount": pytest.approx(float(amount))}
        assert sum(row["count"] for row in report["rows"]) == count
    assert rep.get("/reports/pipeline").json()["total"]["count"] < count


def test_the_description_is_true(admin: httpx.Client) -> None:
    for entity in admin.get("/meta").json()["entities"]:
        fields = admin.get(f"/meta/{entity}").json()["fields"]
        shown = {field["name"] for field in fields if not field["write_only"]}
        record = admin.get(f"/{entity}?limit=1").json()["records"]
        assert record
        assert set(record[0]) == shown
        for field in fields:
            assert set(field) >= {
                "name", "type", "required", "unique", "max_length", "values", "references",
                "read_only",
            }  # fmt: skip
        body = {field["name"]: "x" for field in fields if field["read_only"]}
        reasons = admin.post(f"/{entity}", json=body).json()["error"]["fields"]
        assert {reasons[name] for name in body} == {"is read only"}
        needed = {field["name"] for field in fields if field["required"]}
        assert {name for name, why in reasons.items() if why == "is required"} == needed


def test_people_come_change_and_go(
    admin: httpx.Client, refcrm_server: RefcrmServer, login: Login
) -> None:
    body = {"username": "temp1", "name": "Temp", "role": "rep", "password": "first secret"}
    made = admin.post("/users", json=body)
    assert made.status_code == 201
    number = made.json()["id"]
    base = f"{refcrm_server.url}/api/v1"

    def session(password: str) -> httpx.Response:
        body = {"username": "temp1", "password": password}
        return httpx.post(f"{base}/login", json=body, trust_env=False)

    head = {"authorization": f"Bearer {session('first secret').json()['token']}"}
    assert httpx.get(f"{base}/me", headers=head, trust_env=False).status_code == 200
    assert admin.post("/users", json=body).json()["error"]["code"] == "duplicate"
    admin.patch(f"/users/{number}", json={"password": "second secret"}).raise_for_status()
    assert session("first secret").status_code == 401
    assert session("second secret").status_code == 200
    admin.patch(f"/users/{number}", json={"active": False}).raise_for_status()
    assert httpx.get(f"{base}/me", headers=head, trust_env=False).status_code == 401
    assert session("second secret").status_code == 401
    assert admin.delete(f"/users/{number}").status_code == 204
    owner = login(refcrm_server.username("rep")).get("/me").json()["id"]
    assert admin.delete(f"/users/{owner}").json()["error"]["code"] == "in_use"
    myself = admin.get("/me").json()["id"]
    assert admin.delete(f"/users/{myself}").status_code == 403
