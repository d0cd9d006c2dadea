"""Bulk import, export and the feeds, against a real server on a real database."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

ROOT = Path(__file__).parents[2]
BAD = ROOT / "tests" / "data" / "bad" / "refcrm"
CASES = sorted(path.stem for path in BAD.glob("*.csv"))
LONG_AGO = "2001-01-01T00:00:00Z"


@dataclass(frozen=True)
class Crm:
    """A running refcrm and its password."""

    url: str
    database_url: str
    server_pid: int
    password: str

    def client(self, username: str) -> httpx.Client:
        base = f"{self.url}/api/v1"
        body = {"username": username, "password": self.password}
        token = httpx.post(f"{base}/login", json=body).raise_for_status().json()["token"]
        return httpx.Client(base_url=base, timeout=60, headers={"authorization": f"Bearer {token}"})

    def value(self, query: str) -> Any:
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(query.encode()).fetchone()
        return None if row is None else row[0]


@pytest.fixture(scope="module")
def crm() -> Iterator[Crm]:
    place = Path(tempfile.mkdtemp(prefix="bulk-", dir="/tmp"))
    place.chmod(0o755)
    directory, ready = place / "crm", place / "ready.json"
    command = [
        sys.executable, "-m", "refcrm", "up", "--dir", str(directory), "--ready-file", str(ready),
        "--contacts", "400", "--users", "60", "--faults", "--rate", "0",
    ]  # fmt: skip
    with (place / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, (place / "log").read_text()
            assert time.monotonic() < end, "the CRM did not start"
            time.sleep(0.05)
        facts = json.loads(ready.read_text())
        password = Path(facts["password_file"]).read_text().strip()
        url, database_url = facts["url"], facts["database_url"]
        yield Crm(url, database_url, facts["server_pid"], password)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def admin(crm: Crm) -> Iterator[httpx.Client]:
    with crm.client("admin") as client:
        yield client


def import_csv(client: httpx.Client, entity: str, text: str | bytes, query: str = "") -> Any:
    body = text.encode() if isinstance(text, str) else text
    headers = {"content-type": "text/csv; charset=utf-8"}
    reply = client.post(f"/bulk/{entity}/import{query}", content=body, headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_there_are_cases_with_an_expectation_each() -> None:
    assert len(CASES) >= 25
    assert {path.stem for path in BAD.glob("*.json")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_bad_file(admin: httpx.Client, crm: Crm, name: str) -> None:
    expected = json.loads((BAD / f"{name}.json").read_text())
    entity, headers = expected.pop("entity"), {"content-type": expected.pop("content_type")}
    table = entity if entity != "invoices" else "contacts"
    before = crm.value(f"select count(*) from {table}")
    reply = admin.post(
        f"/bulk/{entity}/import", content=(BAD / f"{name}.csv").read_bytes(), headers=headers
    )
    assert reply.status_code == expected.pop("status"), reply.text
    document = reply.json()
    stored = crm.value(f"select count(*) from {table}") - before
    if reply.status_code != 200:
        error = document["error"]
        assert {key: error.get(key) for key in expected} == expected
        assert stored == 0
        return
    assert {key: document[key] for key in expected} == expected
    assert len(document["ids"]) == document["imported"] == stored


def test_import_keeps_text_as_it_is(admin: httpx.Client) -> None:
    name, city = '=1+1 "王"', "上海\n浦东"
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["name", "city", "source_tag"], [name, city, "kept"]])
    report = import_csv(admin, "contacts", buffer.getvalue())
    record = admin.get(f"/contacts/{report['ids'][0]}").json()
    assert (record["name"], record["city"], record["source_tag"]) == (name, city, "kept")
    assert (record["version"], record["email"]) == (1, None)
    assert record["owner_id"] == admin.get("/me").json()["id"]


def test_empty_cells_take_the_columns_default(admin: httpx.Client) -> None:
    report = import_csv(admin, "deals", "name,stage,currency\na,,\nb,won,USD\n")
    records = [admin.get(f"/deals/{number}").json() for number in report["ids"]]
    shown = {(r["name"], r["stage"], r["currency"]) for r in records}
    assert shown == {("a", "prospecting", "CNY"), ("b", "won", "USD")}


def test_ids_come_in_the_order_of_the_rows(admin: httpx.Client) -> None:
    lines = "".join(f"lead {n},{'new' if n % 2 else ''}\n" for n in range(2_500))
    report = import_csv(admin, "leads", "name,status\n" + lines)
    assert report["imported"] == 2_500
    assert report["ids"] == sorted(report["ids"], key=int)
    assert admin.get(f"/leads/{report['ids'][1_234]}").json()["name"] == "lead 1234"


def test_duplicates_are_taken_unless_refused(admin: httpx.Client, crm: Crm) -> None:
    text = "name,email,mobile\nA,Twin@a.cn,13900000001\nB,b@a.cn,13900000001\nC,,13900000009\n"
    assert import_csv(admin, "contacts", text)["imported"] == 3
    assert import_csv(admin, "leads", text)["imported"] == 3
    fresh = "name,email,mobile\nD,tWin@A.cn,\nE,e@a.cn,\nF,E@a.cn,\nG,,\nH,,\n"
    report = import_csv(admin, "contacts", fresh, "?allow_duplicate=false")
    why = "has the e-mail address or mobile number of another record"
    assert report["rejected"] == [
        {"row": 1, "field": None, "reason": why},
        {"row": 3, "field": None, "reason": why},
    ]
    assert report["imported"] == 3


def test_references_are_checked_as_the_caller_sees_them(crm: Crm) -> None:
    own = crm.value(
        "select a.id from accounts a join users u on u.id = a.owner_id "
        "where u.team_id = (select team_id from users where username = 'rep0001') limit 1"
    )
    foreign = crm.value(
        "select a.id from accounts a join users u on u.id = a.owner_id "
        "where u.team_id <> (select team_id from users where username = 'rep0001') limit 1"
    )
    stranger = crm.value(f"select owner_id from accounts where id = {foreign}")
    text = (
        f"name,account_id,owner_id\nmine,{own},\nforeign,{foreign},\n"
        f"given away,,{stranger}\nnobody's,,\n"
    )
    with crm.client("rep0001") as rep:
        report = import_csv(rep, "contacts", text)
        assert report["rejected"] == [
            {"row": 2, "field": "account_id", "reason": "no such record, or not yours to see"},
            {"row": 3, "field": "owner_id", "reason": "outside your team or region"},
        ]
        me = rep.get("/me").json()["id"]
        owners = {rep.get(f"/contacts/{n}").json()["owner_id"] for n in report["ids"]}
        assert owners == {me}
        refused = rep.post(
            "/bulk/products/import", content=b"code,name\nX,Y\n", headers={"content-type": ""}
        )
        assert refused.status_code == 403


def test_a_giant_cell_is_an_answer_not_a_failure(admin: httpx.Client, crm: Crm) -> None:
    before = crm.value("select count(*) from contacts")
    body = b"name,city\nA,X\nB," + b"y" * 3_000_000 + b"\n"
    reply = admin.post("/bulk/contacts/import", content=body, headers={"content-type": "text/csv"})
    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == (
        "row 2: a quote is opened and not closed, or a cell is longer than 1048576 characters; "
        "nothing was imported"
    )
    assert crm.value("select count(*) from contacts") == before


def test_a_sender_that_stops_half_way_imports_nothing(admin: httpx.Client, crm: Crm) -> None:
    before = crm.value("select count(*) from contacts")

    def half() -> Iterator[bytes]:
        yield b"name\n" + b"cut off\n" * 5_000
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        admin.post("/bulk/contacts/import", content=half(), headers={"content-type": "text/csv"})
    assert admin.get("/me").status_code == 200
    assert crm.value("select count(*) from contacts") == before


def test_others_are_served_while_a_file_is_imported(admin: httpx.Client, crm: Crm) -> None:
    text = "subject,kind\n" + "call,call\n" * 20_000
    done: list[Any] = []
    with crm.client("integration") as other:
        thread = threading.Thread(target=lambda: done.append(import_csv(other, "activities", text)))
        thread.start()
        served = 0
        while thread.is_alive():
            assert admin.get("/me").status_code == 200
            served += 1
        thread.join()
    assert done[0]["imported"] == 20_000
    assert served > 5


def test_export_as_csv_and_as_lines_agree_with_the_table(admin: httpx.Client, crm: Crm) -> None:
    count = crm.value("select count(*) from contacts")
    as_csv = admin.get("/bulk/contacts/export?format=csv")
    assert as_csv.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(as_csv.text, newline="")))
    as_lines = admin.get("/bulk/contacts/export?format=ndjson")
    records = [json.loads(line) for line in as_lines.text.split("\n") if line]
    assert len(rows) == len(records) == count >= 400
    fields = [one["name"] for one in admin.get("/meta/contacts").json()["fields"]]
    assert list(rows[0]) == list(records[0]) == fields
    for row, record in zip(rows, records, strict=True):
        assert {k: v or "" for k, v in row.items()} == {
            k: "" if v is None else str(v) for k, v in record.items() if not k.endswith("_at")
        } | {k: row[k] for k in ("created_at", "updated_at")}
        assert row["created_at"].endswith("Z")


def test_an_export_goes_back_in(admin: httpx.Client) -> None:
    rows = list(csv.DictReader(io.StringIO(admin.get("/bulk/products/export").text)))
    keep = [name for name in rows[0] if name not in ("id", "version", "created_at", "updated_at")]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, keep, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**row, "code": f"again {row['code']}"} for row in rows)
    report = import_csv(admin, "products", buffer.getvalue())
    assert (report["imported"], report["rejected"]) == (len(rows), [])


def test_export_of_nothing(admin: httpx.Client, crm: Crm) -> None:
    with psycopg.connect(crm.database_url) as connection:
        connection.execute("delete from campaigns")
    assert admin.get("/bulk/campaigns/export?format=ndjson").text == ""
    header = admin.get("/bulk/campaigns/export?format=csv").text
    assert header.startswith("id,owner_id,name,status")
    assert header.count("\n") == 1


def test_exports_are_for_some_roles_and_their_region(admin: httpx.Client, crm: Crm) -> None:
    with crm.client("rep0001") as rep:
        refused = rep.get("/bulk/accounts/export")
        assert refused.status_code == 403
        assert refused.json()["error"]["message"] == "role rep may not do this"
    with crm.client("manager0001") as manager:
        lines = manager.get("/bulk/accounts/export?format=ndjson").text.splitlines()
    expected = crm.value(
        "select count(*) from accounts a join users u on u.id = a.owner_id "
        "where u.region = (select region from users where username = 'manager0001')"
    )
    assert 0 < len(lines) == expected < crm.value("select count(*) from accounts")
    odd = admin.get("/bulk/accounts/export?format=xlsx").json()["error"]
    assert odd["fields"] == {"format": "must be csv or ndjson"}


def test_imports_and_exports_stand_in_the_access_log(admin: httpx.Client) -> None:
    import_csv(admin, "campaigns", "name\nlogged\n")
    admin.get("/bulk/campaigns/export")
    entries = admin.get("/access-log?limit=20").json()["records"]
    noted = {(e["action"], e["entity"], e["outcome"]) for e in entries}
    assert {("import", "campaigns", "ok"), ("export", "campaigns", "ok")} <= noted


def follow(client: httpx.Client, path: str, since: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query = f"since={since}&limit={limit}"
    for _ in range(1_000):
        page = client.get(f"{path}?{query}").raise_for_status().json()
        found += page["records"]
        if page["next"] is None:
            return found
        query = f"cursor={page['next']}&limit={limit}"
    raise AssertionError("the feed does not end")


def test_modified_feed_walks_all_records_once_in_order(admin: httpx.Client, crm: Crm) -> None:
    records = follow(admin, "/accounts/modified", LONG_AGO, 7)
    assert len(records) == crm.value("select count(*) from accounts")
    assert len({record["id"] for record in records}) == len(records)
    places = [(record["updated_at"], int(record["id"])) for record in records]
    assert places == sorted(places)


def test_modified_feed_shows_changes_and_imports_since(admin: httpx.Client) -> None:
    before = follow(admin, "/cases/modified", LONG_AGO, 500)
    since = before[-1]["updated_at"].replace("+", "%2B")
    number = before[0]["id"]
    admin.patch(f"/cases/{number}", json={"priority": "high"})
    report = import_csv(admin, "cases", "subject\none\ntwo\n")
    found = {record["id"] for record in follow(admin, "/cases/modified", since, 2)}
    assert {number, *report["ids"]} <= found


def test_deleted_feed_walks_deletions_once(admin: httpx.Client) -> None:
    numbers = import_csv(admin, "quotes", "status\n" + "draft\n" * 5)["ids"]
    for number in numbers:
        assert admin.delete(f"/quotes/{number}").status_code == 204
    records = follow(admin, "/quotes/deleted", LONG_AGO, 2)
    assert [record["id"] for record in records] == numbers
    assert all(record["deleted_at"].endswith("Z") for record in records)
    assert follow(admin, "/orders/deleted", LONG_AGO, 2) == []


def test_feeds_lag_when_told_to(admin: httpx.Client, crm: Crm) -> None:
    number = import_csv(admin, "leads", "name\nlate\n")["ids"][0]
    faults = f"{crm.url}/_faults"
    try:
        admin.put(faults, json={"sync_lag_seconds": 600}).raise_for_status()
        late = {record["id"] for record in follow(admin, "/leads/modified", LONG_AGO, 1_000)}
    finally:
        admin.delete(faults).raise_for_status()
    assert number not in late
    found = {record["id"] for record in follow(admin, "/leads/modified", LONG_AGO, 1_000)}
    assert number in found


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {"since": "is required"}),
        ("?since=yesterday", {"since": "must be a time such as 2026-01-31T08:00:00Z"}),
        ("?cursor=bm9uc2Vuc2U", {"cursor": "is not a cursor of this list"}),
        ("?since=2026-01-01&limit=5000", {"limit": "must be 1 to 1000"}),
    ],
)
@pytest.mark.parametrize("feed", ["modified", "deleted"])
def test_a_feed_says_what_it_needs(
    admin: httpx.Client, feed: str, query: str, fields: dict[str, str]
) -> None:
    reply = admin.get(f"/contacts/{feed}{query}")
    assert reply.status_code == 400
    assert reply.json()["error"]["fields"] == fields


def test_a_representative_follows_only_the_team(crm: Crm) -> None:
    with crm.client("rep0001") as rep:
        seen = {int(record["id"]) for record in follow(rep, "/accounts/modified", LONG_AGO, 50)}
    with psycopg.connect(crm.database_url) as connection:
        mine = connection.execute(
            "select a.id from accounts a join users u on u.id = a.owner_id "
            "where u.team_id = (select team_id from users where username = 'rep0001')"
        ).fetchall()
    assert seen == {row[0] for row in mine}


def test_the_upload_leaves_no_file_behind(admin: httpx.Client, crm: Crm) -> None:
    import_csv(admin, "activities", "subject\n" + f"{'x' * 200}\n" * 10_000)
    descriptors = Path(f"/proc/{crm.server_pid}/fd")
    if os.access(descriptors, os.R_OK):
        open_files = [str(one.readlink()) for one in descriptors.iterdir()]
        assert not [name for name in open_files if "(deleted)" in name]
