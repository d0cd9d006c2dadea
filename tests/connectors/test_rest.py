"""The rest connector under profiles of other styles, in memory."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from ruamel.yaml import YAML

from crmops.connectors import connect
from crmops.connectors.base import (
    Connector,
    Converts,
    Counts,
    Describes,
    Exports,
    Feeds,
    FieldInfo,
    Imports,
    Reports,
)
from crmops.errors import ConfigError, UsageError
from crmops.outcome import CallFailed, Outcome
from crmops.secret import Secret

Make = Callable[..., Connector]

# A CRM that answers 200 to everything, takes POSTs only and counts offsets in the body.
ENVELOPES: dict[str, Any] = {
    "name": "envelopes",
    "auth": {"kind": "api_key", "header": "X-Key"},
    "whoami": {"method": "POST", "path": "/user/me", "id": "data.userId"},
    "records": "data.list",
    "record": "data.0.item",
    "id": "_id",
    "paging": {
        "kind": "offset",
        "parameter": "query.offset",
        "limit": "query.limit",
        "place": "body",
        "total": "data.total",
    },
    "errors": {
        "code": "errorCode",
        "message": "errorMessage",
        "in_every_answer": True,
        "good": ["0"],
        "codes": {20016: "auth", 301: "missing", 302: "throttled", 303: "ok"},
        "retry_after": {"at": "waitMs", "unit": "milliseconds"},
    },
    "operations": {
        "list": {"method": "POST", "path": "/query", "body": {"object": "{name}"}},
        "get": {"method": "POST", "path": "/get", "body": {"object": "{name}", "id": "{id}"}},
        "create": {
            "path": "/create",
            "body": {"object": "{name}", "data": ["{fields}"]},
            "id": "newId",
        },
    },
    "entities": {
        "contact": {"path": "/unused", "name": "ContactObj", "fields": {"name": "props.name"}},
        "account": {"path": "/unused", "name": "AccountObj"},
    },
}

PLAIN: dict[str, Any] = {
    "name": "plain",
    "auth": {"kind": "bearer"},
    "whoami": {"path": "/me"},
    "entities": {"contact": "/contacts", "lead": "/leads", "deal": "/deals"},
}


@pytest.fixture
def make(tmp_path: Path, offline: Any) -> Make:
    """Makes a connector from a profile given as data."""

    def build(profile: dict[str, Any], **changes: Any) -> Connector:
        path = tmp_path / "profile.yaml"
        with path.open("w", encoding="utf-8") as stream:
            YAML(typ="safe").dump({**profile, **changes}, stream)
        return connect(offline("rest", options={"profile": str(path)}))

    return build


def login(crm: Any, script: Any, *replies: Any, username: str = "u", password: str = "p") -> Any:
    run = script(*replies)
    run.run(crm.login(username, password))
    return run


def test_each_part_of_a_call_comes_from_the_profile(make: Make, script: Any, ok: Any) -> None:
    crm = make(ENVELOPES)
    login(crm, script, ok({"errorCode": 0, "data": {"userId": 5}}), password="k1")
    run = script(
        ok({"errorCode": 0, "data": {"list": [{"_id": 8, "props": {"name": "甲"}}], "total": 3}})
    )
    page = run.run(crm.list("contact", limit=1, cursor="1"))
    assert (run.calls[0].method, run.calls[0].path) == ("POST", "/query")
    assert run.calls[0].headers["x-key"] == "k1"
    assert run.calls[0].idempotent
    assert run.body() == {"object": "ContactObj", "query": {"limit": 1, "offset": 1}}
    assert (page.records[0]["id"], page.records[0]["name"], page.cursor) == ("8", "甲", "2")


def test_fields_are_wrapped_and_unwrapped(make: Make, script: Any, ok: Any) -> None:
    crm = make(ENVELOPES)
    run = script(ok({"errorCode": 0, "data": [{"item": {"newId": 77}}]}))
    assert run.run(crm.create("contact", {"name": "n", "email": None})).id == "77"
    assert run.body() == {"object": "ContactObj", "data": [{"props": {"name": "n"}, "email": None}]}


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"errorCode": 0}, None),
        ({"errorCode": 303}, None),
        ({}, None),
        ({"errorCode": 20016, "errorMessage": "token"}, Outcome.AUTH),
        ({"errorCode": 302, "waitMs": 1500}, Outcome.THROTTLED),
        ({"errorCode": 999}, Outcome.SERVER),
        ({"errorCode": False}, Outcome.SERVER),
    ],
)
def test_a_code_in_a_good_status_counts(
    make: Make, ok: Any, body: Any, outcome: Outcome | None
) -> None:
    problem = make(ENVELOPES).classify(ok(body))
    assert (problem and problem.outcome) == outcome
    if outcome is Outcome.THROTTLED and problem:
        assert problem.retry_after == 1.5


def test_powers_are_there_only_when_the_profile_has_them(make: Make, offline: Any) -> None:
    powers = (Converts, Reports, Exports, Imports, Describes, Counts, Feeds)
    plain = make(PLAIN)
    assert isinstance(plain, Connector)
    assert not any(isinstance(plain, power) for power in powers)
    full = connect(offline("rest", options={"profile": "refcrm"}))
    assert all(isinstance(full, power) for power in powers)
    example = connect(offline("rest", options={"profile": "example"}))
    assert [power for power in powers if isinstance(example, power)] == [Describes]
    assert type(full) is type(connect(offline("rest", options={"profile": "refcrm"})))


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"kind": "bearer"}, {"authorization": "Bearer p w"}),
        ({"kind": "bearer", "prefix": "Token token="}, {"authorization": "Token token=p w"}),
        ({"kind": "api_key"}, {"x-api-key": "p w"}),
        (
            {"kind": "basic"},
            {"authorization": "Basic " + base64.b64encode("ü:p w".encode()).decode()},
        ),
    ],
)
def test_a_session_without_a_login_call(
    make: Make, script: Any, ok: Any, auth: Any, header: dict[str, str]
) -> None:
    crm = make(PLAIN, auth=auth)
    run = login(crm, script, ok({"id": 1}), username="ü", password="p w")
    assert [call.path for call in run.calls] == ["/me"]
    assert dict(crm.auth_headers()) == header
    assert script().run(crm.logout()) is None
    assert dict(crm.auth_headers()) == {}


def test_a_token_that_is_not_taken_is_forgotten(make: Make, script: Any, ok: Any) -> None:
    crm = make(PLAIN)
    with pytest.raises(CallFailed):
        login(crm, script, ok(None, 401))
    assert not crm.auth_headers()
    with pytest.raises(CallFailed, match="characters that no header can carry"):
        login(crm, script, password="pä\nss")


def test_client_credentials_in_the_form_or_as_basic(
    make: Make, script: Any, ok: Any, offline: Any, tmp_path: Path
) -> None:
    auth: dict[str, Any] = {
        "kind": "oauth2",
        "grant": "client_credentials",
        "path": "/token",
        "fields": {"resource": "{client_id}!"},
    }
    replies = ok({"access_token": "t"}), ok({"id": 1})
    run = login(make(PLAIN, auth=auth), script, *replies, username="c", password="s&s")
    form = parse_qs(run.calls[0].body.decode())
    assert form == {
        "grant_type": ["client_credentials"],
        "client_id": ["c"],
        "client_secret": ["s&s"],
        "resource": ["c!"],
    }
    assert run.calls[1].headers["authorization"] == "Bearer t"
    make(PLAIN, auth={**auth, "grant": "password", "client": "basic", "scope": "a b"})
    options = {
        "profile": str(tmp_path / "profile.yaml"),
        "client_id": "c:1",
        "client_secret": Secret("s&s"),
    }
    run = login(connect(offline("rest", options=options)), script, *replies)
    form = parse_qs(run.calls[0].body.decode())
    assert (form["username"], form["password"], form["scope"]) == (["u"], ["p"], ["a b"])
    assert "client_secret" not in form
    basic = run.calls[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic) == b"c%3A1:s%26s"


def test_any_401_ends_a_session_when_no_code_is_named(make: Make, script: Any, ok: Any) -> None:
    auth = {"kind": "login", "path": "/login", "token": "t", "encoding": "form"}
    crm = make(PLAIN, auth=auth)
    run = login(crm, script, ok({"t": "a"}), ok({"id": 1}))
    assert parse_qs(run.calls[0].body.decode()) == {"username": ["u"], "password": ["p"]}
    run = script(ok(None, 401), ok({"t": "b"}), ok({"id": 1}), ok({"id": 5}))
    assert run.run(crm.get("deal", "5")).id == "5"
    assert [call.name for call in run.calls] == ["deals.get", "login", "whoami", "deals.get"]


def test_conditions_in_an_expression_are_quoted(offline: Any, script: Any, ok: Any) -> None:
    crm = connect(offline("rest", options={"profile": "example"}))
    run = script(ok({"UserId": "u'1"}), ok({"value": []}))
    run.run(crm.list("lead", where={"name": "O'Neill", "status": "converted", "owner": "me"}))
    assert parse_qs(run.calls[1].path.partition("?")[2])["$filter"] == [
        "fullname eq 'O''Neill' and statuscode eq 5 and _ownerid_value eq 'u''1'"
    ]
    for where in ({"owner": "team"}, {"uscc": "1"}):
        with pytest.raises(CallFailed) as caught:
            script().run(crm.list("account", where=where))
        assert caught.value.outcome is Outcome.INVALID


def test_ids_and_texts_cannot_leave_their_place(make: Make, script: Any, ok: Any) -> None:
    crm = make(PLAIN)
    run = script(ok({"id": 1}))
    run.run(crm.get("deal", "../users?x=1&y=%"))
    assert run.calls[0].path == "/deals/..%2Fusers%3Fx%3D1%26y%3D%25"
    run = script(ok([]))
    run.run(crm.search("deal", "a&b={id} 王"))
    assert run.calls[0].path == "/deals?q=a%26b%3D%7Bid%7D+%E7%8E%8B"


def test_the_new_id_may_stand_in_a_header(offline: Any, script: Any, ok: Any) -> None:
    crm = connect(offline("rest", options={"profile": "example"}))
    made = ok(None, 204, odata_entityid="http://odata.test/api/v9.2/leads(00-11)")
    assert script(made).run(crm.create("lead", {"name": "n"})).id == "00-11"
    with pytest.raises(CallFailed, match="without an id"):
        assert script(ok(None, 204)).run(crm.create("lead", {"name": "n"})).id


def test_metadata_comes_in_neutral_names(offline: Any, script: Any, ok: Any) -> None:
    crm: Any = connect(offline("rest", options={"profile": "example"}))
    attributes = [
        {"LogicalName": "fullname", "AttributeType": "String", "IsRequired": True, "MaxLength": 9},
        {"LogicalName": "leadid", "AttributeType": "Uniqueidentifier"},
        {"LogicalName": "cr_score", "AttributeType": "Integer"},
    ]
    assert script(ok({"Attributes": attributes})).run(crm.describe("lead")) == (
        FieldInfo("name", "text", True, False, 9),
        FieldInfo("id", "text"),
        FieldInfo("cr_score", "number"),
    )


def test_an_export_is_counted_in_each_form(make: Make, script: Any, ok: Any) -> None:
    for form, body, rows in (
        ("csv", b'\xef\xbb\xbfid,name\r\n1,"a\nb"\r\n2,c\r\n', 2),
        ("csv", b"id,name\r\n", 0),
        ("csv", b"", 0),
        ("ndjson", b'{"id":1}\n\n{"id":2}', 2),
        ("json", b'{"rows":[1,2,3]}', 3),
    ):
        powers = {"export": {"path": "/x/{name}", "format": form, "rows": "rows"}}
        crm: Any = make(PLAIN, powers=powers)
        assert script(ok(body)).run(crm.export("contact")) == rows
    powers = {"export": {"path": "/x", "format": "csv"}}
    crm = make(PLAIN, powers=powers)
    with pytest.raises(CallFailed, match="an export that is no CSV"):
        script(ok(b"\xff\xfe")).run(crm.export("contact"))


def test_rows_may_be_imported_as_json(make: Make, script: Any, ok: Any) -> None:
    rejected = {"at": "bad", "row": "index", "first": 0, "field": "name", "reason": "text"}
    powers = {
        "import": {
            "format": "json",
            "path": "{path}/batch",
            "body": {"data": "{rows}"},
            "ids": "good",
            "rejected": rejected,
        }
    }
    crm: Any = make(PLAIN, powers=powers, fields={"email": "mail"})
    run = script(ok({"good": [5], "bad": [{"index": 1, "name": "mail", "text": "odd"}]}))
    report = run.run(crm.bulk_import("lead", [{"email": "a"}, {"email": "b"}]))
    assert run.body() == {"data": [{"mail": "a"}, {"mail": "b"}]}
    assert (report.ids, report.rejected) == (("5",), ((2, "email", "odd"),))


def test_an_entity_that_the_profile_leaves_out(make: Make) -> None:
    with pytest.raises(UsageError) as caught:
        next(make(PLAIN).list("case"))
    assert caught.value.message == "profile 'plain' has no entity 'case'"
    assert caught.value.hint == "It has: contact, deal, lead."


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({}, "targets.crm.options.profile is missing", None),
        (
            {"profil": "refcrm"},
            "targets.crm.options.profil is not a setting",
            "Did you mean 'profile'? Allowed here: client_id, client_secret, profile, settings.",
        ),
        (
            {"profile": "refcmr"},
            "there is no profile 'refcmr'",
            "Did you mean 'refcrm'? Shipped: example, refcrm; or give the path of a .yaml file.",
        ),
        (
            {"profile": "/nowhere/at/all.yaml"},
            "/nowhere/at/all.yaml: the profile cannot be read: no such file or directory",
            "Give the path of a .yaml file or one of example, refcrm.",
        ),
        (
            {"profile": "example", "settings": {"vversion": "1"}},
            "targets.crm.options.settings.vversion is no setting of profile 'example'",
            "Did you mean 'version'? Known: version.",
        ),
    ],
)
def test_bad_options_say_what_is_wrong(
    offline: Any, options: Any, message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        connect(offline("rest", options=options))
    assert caught.value.message.startswith(message)
    assert hint is None or caught.value.hint == hint


def test_settings_of_the_target_change_paths(offline: Any, script: Any, ok: Any) -> None:
    options = {"profile": "example", "settings": {"version": "v10"}}
    run = script(ok({"UserId": "1"}))
    run.run(connect(offline("rest", options=options)).whoami())
    assert run.calls[0].path == "/api/v10/whoami"
    assert run.calls[0].headers["odata-version"] == "4.0"
