"""Nobody sees or changes what is not theirs, whatever the way in."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import RefcrmServer
from tests.refcrm.conftest import Login

Database = psycopg.Connection[tuple[Any, ...]]

OWNED = ["accounts", "contacts", "leads", "deals", "activities", "cases", "campaigns"]
OWNED += ["quotes", "orders"]
ALLOWED = {
    "rep": "select o.id from users o join users me on o.team_id = me.team_id or o.id = me.id",
    "manager": "select o.id from users o join users me on o.region = me.region or o.id = me.id",
}
SEARCHED = {"accounts": "公司", "contacts": "王", "leads": "李", "deals": "采购"}


def ids_of(database: Database, entity: str, username: str, role: str) -> tuple[set[str], set[str]]:
    """(ids this person may touch, all the others), worked out from the tables alone."""
    everything = f"select id::text, owner_id from {entity}"
    rows = database.execute(everything).fetchall()
    if role in ("admin", "integration"):
        return {row[0] for row in rows}, set()
    owners = database.execute(f"{ALLOWED[role]} where me.username = %s", (username,)).fetchall()
    mine = {owner for (owner,) in owners}
    seen = {row[0] for row in rows if row[1] in mine}
    return seen, {row[0] for row in rows} - seen


def listed(client: httpx.Client, entity: str, **query: str) -> set[str]:
    """All ids of a list, page by page."""
    found: list[str] = []
    parameters = {"limit": "200", **query}
    while True:
        page = client.get(f"/{entity}", params=parameters).raise_for_status().json()
        found += [record["id"] for record in page["records"]]
        if page["next"] is None:
            assert len(found) == len(set(found))
            return set(found)
        parameters["cursor"] = page["next"]


@pytest.mark.parametrize("entity", OWNED)
@pytest.mark.parametrize("role", ["rep", "manager", "integration"])
def test_lists_show_exactly_what_is_theirs(
    login: Login, refcrm_server: RefcrmServer, database: Database, entity: str, role: str
) -> None:
    username = refcrm_server.username(role)
    before, _ = ids_of(database, entity, username, role)
    found = listed(login(username), entity)
    mine, _ = ids_of(database, entity, username, role)
    assert before & mine <= found <= before | mine  # whatever else goes on in the same CRM
    mine |= before
    filters = {"filters": [{"field": "id", "op": "gt", "value": "0"}], "limit": 1000}
    queried = login(username).post(f"/{entity}/query", json=filters).json()["records"]
    assert {record["id"] for record in queried} <= mine
    assert len(queried) == min(len(before), 1000) or before != mine
    feed = login(username).get(f"/{entity}/modified?since=2000-01-01T00:00:00Z&limit=1000").json()
    assert {record["id"] for record in feed["records"]} <= mine
    if entity in SEARCHED:
        hits = login(username).get(f"/{entity}/search?q={SEARCHED[entity]}&limit=200").json()
        assert {record["id"] for record in hits["records"]} <= mine


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_one_record_opens_and_changes_only_for_its_people(
    login: Login, refcrm_server: RefcrmServer, database: Database, data: st.DataObject
) -> None:
    who = data.draw(st.sampled_from([one for one in refcrm_server.users if one["role"] != "admin"]))
    entity = data.draw(st.sampled_from(OWNED))
    mine, foreign = ids_of(database, entity, who["username"], who["role"])
    number = data.draw(st.sampled_from(sorted(mine | foreign)))
    client = login(who["username"])
    status = 200 if number in mine else 403
    assert client.get(f"/{entity}/{number}").status_code == status
    assert client.patch(f"/{entity}/{number}", json={"source_tag": "p"}).status_code == status
    if number in foreign:
        assert client.delete(f"/{entity}/{number}").status_code == 403
        assert database.execute(
            f"select count(*) from {entity} where id = %s and source_tag = 'p'", (number,)
        ).fetchone() in ((0,), (1,))


def test_a_foreign_change_changes_nothing(
    rep: httpx.Client, refcrm_server: RefcrmServer, database: Database
) -> None:
    _, foreign = ids_of(database, "deals", refcrm_server.username("rep"), "rep")
    number = min(foreign, key=int)
    before = database.execute("select * from deals where id = %s", (number,)).fetchone()
    reply = rep.patch(f"/deals/{number}", json={"name": "taken"})
    assert reply.json() == {
        "error": {"code": "forbidden", "message": "the record belongs to another team or region"}
    }
    assert database.execute("select * from deals where id = %s", (number,)).fetchone() == before


def test_owner_me_and_team(
    login: Login, rep: httpx.Client, refcrm_server: RefcrmServer, database: Database
) -> None:
    me = rep.get("/me").json()
    own = {record["id"] for record in rep.get("/contacts?owner=me&limit=200").json()["records"]}
    rows = database.execute("select id::text from contacts where owner_id = %s", (me["id"],))
    assert own == {number for (number,) in rows.fetchall()}
    mine, _ = ids_of(database, "contacts", refcrm_server.username("rep"), "rep")
    assert listed(rep, "contacts", owner="team") == mine
    manager = refcrm_server.username("manager")
    rows = database.execute(
        "select c.id::text from contacts c join users o on o.id = c.owner_id join users me "
        "on me.username = %s where o.team_id = me.team_id or o.id = me.id",
        (manager,),
    )
    assert listed(login(manager), "contacts", owner="team") == {one for (one,) in rows.fetchall()}


def test_nobody_gives_records_away_or_refers_to_foreign_ones(
    rep: httpx.Client, refcrm_server: RefcrmServer, database: Database
) -> None:
    username = refcrm_server.username("rep")
    stranger = database.execute(
        "select id::text from users where team_id is distinct from "
        "(select team_id from users where username = %s) limit 1",
        (username,),
    ).fetchone()
    assert stranger is not None
    reply = rep.post("/deals", json={"name": "gift", "owner_id": stranger[0]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden")
    reply = rep.post("/deals", json={"name": "gift", "owner_id": None})
    assert reply.status_code == 403
    _, foreign = ids_of(database, "accounts", username, "rep")
    reply = rep.post("/deals", json={"name": "spy", "account_id": min(foreign)})
    assert reply.json()["error"]["fields"] == {"account_id": "no such record, or not yours to see"}


@pytest.mark.parametrize("entity", ["users", "teams", "products"])
def test_shared_tables_are_read_by_all_and_written_by_few(
    rep: httpx.Client, database: Database, entity: str
) -> None:
    rows = database.execute(f"select id::text from {entity}").fetchall()
    assert listed(rep, entity) == {number for (number,) in rows}
    number = rows[0][0]
    assert rep.patch(f"/{entity}/{number}", json={"name": "mine"}).status_code == 403
    assert rep.delete(f"/{entity}/{number}").status_code == 403
    assert rep.post(f"/{entity}", json={"name": "new"}).status_code == 403


def test_password_hashes_never_leave(admin: httpx.Client) -> None:
    replies = [admin.get("/users?limit=200"), admin.get("/users/1"), admin.get("/meta/users")]
    replies.append(admin.get("/bulk/users/export?format=ndjson"))
    for reply in replies:
        assert reply.status_code == 200
        assert "password_hash" not in reply.text
        assert "scrypt" not in reply.text
    filters = {"filters": [{"field": "password_hash", "op": "like", "value": "s%"}]}
    assert admin.post("/users/query", json=filters).status_code == 400


def test_a_duplicate_does_not_tell_whose_it_is(
    login: Login, rep: httpx.Client, admin: httpx.Client
) -> None:
    del login
    body = {"name": "Somebody Secret", "email": "somebody.secret@example.org"}
    made = admin.post("/contacts", json=body)
    assert made.status_code == 201
    refused = rep.post("/leads", json={"name": "X", "email": body["email"].upper()})
    assert refused.status_code == 409
    assert refused.json()["error"]["duplicates"] == [
        {"entity": "contacts", "id": made.json()["id"], "name": None}
    ]
    shown = admin.post("/leads", json={"name": "X", "email": body["email"]})
    assert shown.json()["error"]["duplicates"][0]["name"] == "Somebody Secret"


def test_the_leak_knob_leaks_reads_only(
    rep: httpx.Client, refcrm_server: RefcrmServer, database: Database
) -> None:
    _, foreign = ids_of(database, "cases", refcrm_server.username("rep"), "rep")
    number = min(foreign)
    with refcrm_server.faults(leak_permission=True):
        assert rep.get(f"/cases/{number}").status_code == 200
        assert rep.patch(f"/cases/{number}", json={"subject": "x"}).status_code == 403
    assert rep.get(f"/cases/{number}").status_code == 403
