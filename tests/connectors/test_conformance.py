"""What every connector must do, tested on each that is registered, against a real CRM."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
import pytest

from crmops.connectors import connect, connectors
from crmops.connectors.base import (
    Connector,
    Converts,
    Counts,
    Describes,
    Exports,
    Feeds,
    Imports,
    Page,
    Reports,
    Talk,
)
from crmops.drivers import client, converse
from crmops.errors import UsageError
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target

T = TypeVar("T")
TargetFactory = Callable[..., Target]


class Person:
    """Somebody who is logged in, through the connector under test."""

    crm: Any  # a Connector, and whatever powers the test asks for

    def __init__(self, crm: Connector, http: httpx.Client) -> None:
        self.crm = crm
        self.http = http

    def must_have(self, power: type) -> None:
        assert isinstance(self.crm, power)

    def do(self, talk: Talk[T]) -> T:
        return converse(talk, self.http)

    def fails(self, talk: Talk[Any]) -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            self.do(talk)
        return caught.value

    def all_of(self, fetch: Callable[[str | None], Talk[Page]]) -> list[dict[str, Any]]:
        """Every record of all pages."""
        records, cursor = [], None
        for _ in range(500):
            page = self.do(fetch(cursor))
            records += page.records
            cursor = page.cursor
            if cursor is None:
                return records
        raise AssertionError("the pages do not end")


@pytest.fixture(params=sorted(connectors()))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def enter(
    kind: str, refcrm_server: Any, target_factory: TargetFactory
) -> Iterator[Callable[..., Person]]:
    """Logs somebody in: ``enter("manager0001")``."""
    opened: list[httpx.Client] = []

    def make(username: str = "admin", **changes: Any) -> Person:
        target = target_factory(kind, **changes)
        opened.append(client(target))
        person = Person(connect(target), opened[-1])
        person.do(person.crm.login(username, refcrm_server.password))
        return person

    yield make
    for http in opened:
        http.close()


@contextmanager
def made(person: Person, entity: str, **fields: Any) -> Iterator[str]:
    """A record that is gone afterwards."""
    record_id = person.do(person.crm.create(entity, {**fields, "source_tag": "conformance"})).id
    yield record_id
    person.do(person.crm.delete(entity, record_id))


def address() -> str:
    return f"{random.randrange(10**12):012d}@conformance.example"


def test_is_a_connector_by_its_registered_name(kind: str, target_factory: TargetFactory) -> None:
    crm = connect(target_factory(kind))
    assert isinstance(crm, Connector)
    assert crm.name == kind


def test_a_session_begins_and_ends(kind: str, enter: Any, refcrm_server: Any) -> None:
    person = enter("rep0001")
    me = person.do(person.crm.whoami())
    assert (me.username, me.role) == ("rep0001", "rep")
    headers = person.crm.auth_headers()
    assert headers
    person.do(person.crm.logout())
    assert not person.crm.auth_headers()
    assert person.fails(person.crm.whoami()).outcome is Outcome.AUTH
    assert refcrm_server.password not in repr(vars(person.crm))


def test_a_wrong_password_is_auth_and_leaves_no_session(enter: Any) -> None:
    person = enter()
    person.do(person.crm.logout())
    problem = person.fails(person.crm.login("admin", "wrong"))
    assert (problem.outcome, problem.status) == (Outcome.AUTH, 401)
    assert problem.code == "invalid_credentials"
    assert not person.crm.auth_headers()


@pytest.mark.parametrize("entity", ["account", "contact", "lead", "deal", "case", "user"])
def test_pages_hold_every_record_once_with_ids_as_text(enter: Any, entity: str) -> None:
    person = enter()
    records = person.all_of(lambda cursor: person.crm.list(entity, limit=47, cursor=cursor))
    ids = [record["id"] for record in records]
    assert len(ids) > 20
    assert all(isinstance(one, str) for one in ids)
    assert len(set(ids)) == len(ids)
    if entity == "contact":
        assert person.do(person.crm.export("contact")) == len(ids)


def test_filters_narrow_a_list(enter: Any) -> None:
    person = enter("rep0001")
    me = person.do(person.crm.whoami())
    with made(person, "deal", name="mine", stage="proposal"):
        mine = person.do(person.crm.list("deal", where={"owner": "me", "stage": "proposal"}))
        assert mine.records
        assert {one["owner_id"] for one in mine.records} == {me.user_id}
        assert {one["stage"] for one in mine.records} == {"proposal"}
        tagged = person.do(person.crm.list("deal", where={"source_tag": "conformance"}))
        assert "mine" in {one["name"] for one in tagged.records}


def test_a_record_is_made_changed_found_and_deleted(enter: Any) -> None:
    person = enter("rep0001")
    email = address()
    one = person.do(person.crm.create("contact", {"name": "张伟 O'Neill", "email": email}))
    assert one.id == one["id"]
    person.do(person.crm.update("contact", one.id, {"title": "经理 & more"}))
    stored = person.do(person.crm.get("contact", one.id))
    assert (stored["name"], stored["title"], stored["email"]) == (
        "张伟 O'Neill",
        "经理 & more",
        email,
    )
    found = person.do(person.crm.search("contact", email))
    assert [hit["id"] for hit in found.records] == [one.id]
    person.do(person.crm.delete("contact", one.id))
    assert person.fails(person.crm.get("contact", one.id)).outcome is Outcome.MISSING


def test_a_duplicate_is_a_conflict_unless_it_is_meant(enter: Any) -> None:
    person = enter("rep0001")
    email = address()
    with made(person, "lead", name="first", email=email):
        again = {"name": "second", "email": email}
        problem = person.fails(person.crm.create("lead", again))
        assert (problem.outcome, problem.code) == (Outcome.CONFLICT, "duplicate")
        assert isinstance(problem.details, dict)
        meant = person.do(person.crm.create("lead", again, allow_duplicate=True))
        person.do(person.crm.delete("lead", meant.id))


@pytest.mark.parametrize(
    ("ask", "outcome"),
    [
        (lambda crm: crm.get("contact", "999999999"), Outcome.MISSING),
        (lambda crm: crm.get("contact", "../users/1"), Outcome.MISSING),
        (lambda crm: crm.create("contact", {"email": "no address"}), Outcome.INVALID),
        (lambda crm: crm.update("deal", "999999999", {"stage": "won"}), Outcome.MISSING),
        (lambda crm: crm.list("contact", cursor="nonsense"), Outcome.INVALID),
        (lambda crm: crm.delete("user", "1"), Outcome.FORBIDDEN),
    ],
)
def test_problems_have_their_outcome(enter: Any, ask: Any, outcome: Outcome) -> None:
    person = enter("rep0001")
    problem = person.fails(ask(person.crm))
    assert problem.outcome is outcome
    assert problem.code


def test_what_another_team_owns_is_forbidden(enter: Any) -> None:
    admin, rep = enter("admin"), enter("rep0001")
    seen = {one["id"] for one in rep.all_of(lambda c: rep.crm.list("deal", limit=200, cursor=c))}
    everything = admin.all_of(lambda c: admin.crm.list("deal", limit=200, cursor=c))
    hidden = next(one["id"] for one in everything if one["id"] not in seen)
    assert rep.fails(rep.crm.get("deal", hidden)).outcome is Outcome.FORBIDDEN


def test_an_unknown_entity_names_the_nearest(enter: Any) -> None:
    person = enter()
    with pytest.raises(UsageError, match="there is no entity 'contcat'") as caught:
        person.do(person.crm.list("contcat"))
    assert caught.value.hint.startswith("Did you mean 'contact'?")


def test_a_server_that_fails_stalls_or_is_gone(enter: Any, refcrm_server: Any) -> None:
    person = enter()
    with refcrm_server.faults(error_ratio=1.0):
        assert person.fails(person.crm.whoami()).outcome is Outcome.SERVER
    hurried = person.crm.target.model_copy(update={"timeout": 0.3})
    with refcrm_server.faults(latency_seconds=3.0), client(hurried) as person.http:
        assert person.fails(person.crm.whoami()).outcome is Outcome.TIMEOUT
    with socket.socket() as nobody:  # bound but not listening: the port answers to no one
        nobody.bind(("127.0.0.1", 0))
        gone = person.crm.target.model_copy(
            update={"url": f"http://127.0.0.1:{nobody.getsockname()[1]}"}
        )
        with client(gone) as person.http:
            assert person.fails(person.crm.whoami()).outcome is Outcome.TRANSPORT


def test_a_lead_is_converted_once(enter: Any) -> None:
    person = enter("rep0001")
    person.must_have(Converts)
    lead = person.do(person.crm.create("lead", {"name": "Ripe", "email": address()}))
    ids = person.do(person.crm.convert_lead(lead.id, {"name": "Big", "amount": 12.5}))
    assert set(ids) == {"account", "contact", "deal"}
    deal = person.do(person.crm.get("deal", ids["deal"]))
    assert (deal["account_id"], deal["contact_id"]) == (ids["account"], ids["contact"])
    assert person.do(person.crm.get("lead", lead.id))["status"] == "converted"
    again = person.fails(person.crm.convert_lead(lead.id))
    assert again.outcome is Outcome.CONFLICT
    for entity, record_id in [("lead", lead.id), *ids.items()]:
        person.do(person.crm.delete(entity, record_id))


def test_the_pipeline_counts_what_the_list_holds(enter: Any) -> None:
    person = enter("manager0001")
    person.must_have(Reports)
    deals = person.all_of(lambda c: person.crm.list("deal", limit=200, cursor=c))
    for by in ("stage", "owner", "region"):
        rows = person.do(person.crm.pipeline(by))
        assert sum(row["count"] for row in rows) == len(deals)
    stages = {row["key"]: row["count"] for row in person.do(person.crm.pipeline("stage"))}
    assert stages["won"] == sum(1 for one in deals if one["stage"] == "won")


def test_an_export_is_for_those_who_may(enter: Any) -> None:
    person = enter("rep0001")
    person.must_have(Exports)
    assert person.fails(person.crm.export("contact")).outcome is Outcome.FORBIDDEN


def test_every_row_of_an_import_is_accounted_for(enter: Any) -> None:
    person = enter("rep0001")
    person.must_have(Imports)
    rows: list[dict[str, Any]] = [
        {"name": "甲, 乙\n丙", "email": address(), "source_tag": "conformance"},
        {"name": "No address", "email": "nonsense"},
        {"name": "Only a name"},
    ]
    report = person.do(person.crm.bulk_import("contact", iter(rows)))
    assert report.imported == len(report.ids) == 2
    assert [(row, name) for row, name, _ in report.rejected] == [(2, "email")]
    assert "address" in report.rejected[0][2]
    stored = person.do(person.crm.get("contact", report.ids[0]))
    assert stored["name"] == "甲, 乙\n丙"
    for record_id in report.ids:
        person.do(person.crm.delete("contact", record_id))
    nothing = person.do(person.crm.bulk_import("contact", []))
    assert (nothing.imported, nothing.ids, nothing.rejected) == (0, (), ())


def test_metadata_says_what_is_required_and_allowed(enter: Any) -> None:
    person = enter()
    person.must_have(Describes)
    fields = {one.name: one for one in person.do(person.crm.describe("deal"))}
    assert fields["name"].required
    assert fields["stage"].values[0] == "prospecting"
    kinds = {name: fields[name].type for name in ("name", "amount", "close_date", "created_at")}
    assert kinds == {"name": "text", "amount": "number", "close_date": "date", "created_at": "time"}


def test_records_are_counted(enter: Any) -> None:
    person = enter()
    person.must_have(Counts)
    before = person.do(person.crm.count("campaign"))
    one = person.do(person.crm.create("campaign", {"name": "Counted"}))
    assert person.do(person.crm.count("campaign")) == before + 1
    person.do(person.crm.delete("campaign", one.id))
    listed = person.all_of(lambda c: person.crm.list("team", limit=100, cursor=c))
    assert person.do(person.crm.count("team")) == len(listed)


def test_feeds_carry_changes_and_deletions(enter: Any) -> None:
    person = enter()
    person.must_have(Feeds)
    one = person.do(person.crm.create("account", {"name": "Brief"}))
    since = one["created_at"]
    changed = person.all_of(lambda c: person.crm.modified_since("account", since, c))
    assert one.id in {record["id"] for record in changed}
    person.do(person.crm.delete("account", one.id))
    gone = person.all_of(lambda c: person.crm.deleted_since("account", since, c))
    assert [entry["deleted_at"] >= since for entry in gone if entry["id"] == one.id] == [True]
    everything = person.all_of(
        lambda c: person.crm.modified_since("contact", "2000-01-01T00:00:00Z", c)
    )
    assert len({record["id"] for record in everything}) == len(everything) > 200
