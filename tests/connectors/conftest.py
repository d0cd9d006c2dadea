"""A driver and two CRMs in memory, for what a real server does not do on demand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import httpx
import pytest

from crmops.connectors.base import Talk
from crmops.outcome import CallFailed
from crmops.secret import Secret
from crmops.target import Target
from crmops.wire import Call, Reply

T = TypeVar("T")
JSON = {"content-type": "application/json"}


def reply(body: object = None, status: int = 200, **headers: str) -> Reply:
    """A reply with a JSON body (bytes are taken as they are)."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {**JSON, **named}, b"" if body is None else raw)


class Script:
    """The driver in memory: answers each Call with the next of some replies, keeps the Calls."""

    def __init__(self, *replies: Reply | CallFailed) -> None:
        self.replies = list(replies)
        self.calls: list[Call] = []

    def run(self, talk: Talk[T]) -> T:
        """Carry a talk through; every reply must be used up."""
        answer: Reply | CallFailed | None = None
        try:
            while True:
                order = talk.throw(answer) if isinstance(answer, CallFailed) else talk.send(answer)
                answer = None
                if isinstance(order, Call):
                    self.calls.append(order)
                    answer = self.replies.pop(0)
        except StopIteration as stop:
            assert self.replies == []
            result: T = stop.value
            return result
        finally:
            talk.close()

    def body(self, index: int = -1) -> Any:
        """What a call carried, as JSON."""
        return json.loads(self.calls[index].body or b"null")


class ODataCrm:
    """A CRM in memory that speaks the dialect of the example profile, as far as journeys go."""

    def __init__(self, host: str = "http://odata.test", size: int = 30) -> None:
        self.host = host
        self.token = "t1"
        self.sets: dict[str, dict[str, dict[str, Any]]] = {
            "accounts": {},
            "contacts": {},
            "leads": {},
            "opportunities": {},
            "incidents": {},
        }
        self.keys = {"opportunities": "opportunityid"}
        for index in range(size):
            for name in self.sets:
                self.add(name, _sample(index))

    def add(self, name: str, fields: Mapping[str, Any]) -> str:
        key = f"{name[0]}-{len(self.sets[name]):04d}"
        self.sets[name][key] = {self.key(name): key, **fields}
        return key

    def key(self, name: str) -> str:
        return self.keys.get(name, name.removesuffix("s") + "id")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/oauth2/token":
            form = dict(httpx.QueryParams(request.content.decode()))
            good = form.get("client_secret") == "secret" and form["scope"] == "crm.all"
            return _json({"access_token": self.token}) if good else _error("invalid_client", 401)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _error("0x80048306", 401)
        if path.endswith("/whoami"):
            return _json({"UserId": "u-1"})
        match = re.fullmatch(r"/api/v9\.2/(\w+)(?:\(([^)]*)\))?", path)
        if match is None or match[1] not in self.sets:
            return _error("0x80060888", 404)
        if match[2]:
            return self._one(request, match[1], match[2])
        return (
            self._create(request, match[1])
            if request.method == "POST"
            else self._list(request, match[1])
        )

    def _one(self, request: httpx.Request, name: str, key: str) -> httpx.Response:
        record = self.sets[name].get(key)
        if record is None:
            return _error("0x80060891", 404)
        if request.method == "DELETE":
            del self.sets[name][key]
        elif request.method == "PATCH":
            record.update(json.loads(request.content))
        else:
            return _json(record)
        return httpx.Response(204)

    def _create(self, request: httpx.Request, name: str) -> httpx.Response:
        fields = json.loads(request.content)
        taken = {one.get("emailaddress1") for one in self.sets[name].values()} - {None}
        meant = request.headers.get("mscrm.suppressduplicatedetection") == "true"
        if fields.get("emailaddress1") in taken and not meant:
            return _error("0x80040237", 412)
        address = f"{self.host}/api/v9.2/{name}({self.add(name, fields)})"
        return httpx.Response(204, headers={"OData-EntityId": address})

    def _list(self, request: httpx.Request, name: str) -> httpx.Response:
        parameters = request.url.params
        found = list(_filtered(self.sets[name].values(), parameters.get("$filter", "")))
        begin, size = int(parameters.get("$skiptoken", 0)), int(parameters.get("$top", 50))
        body: dict[str, Any] = {"value": found[begin : begin + size]}
        if begin + size < len(found):
            query = parameters.set("$skiptoken", begin + size)
            body["@odata.nextLink"] = f"{self.host}/api/v9.2/{name}?{query}"
        return _json(body)


def _sample(index: int) -> dict[str, Any]:
    return {
        "name": f"Account {index}",
        "fullname": f"O'Neill {index}",
        "emailaddress1": f"person{index}@old.example",
        "mobilephone": f"1990000{index:04d}",
        "stepname": "1-Prospect",
        "statuscode": 1,
    }


def _filtered(records: Iterable[dict[str, Any]], text: str) -> Iterable[dict[str, Any]]:
    equal = re.findall(r"(\w+) eq (?:'((?:[^']|'')*)'|(\d+))", text)
    contains = re.findall(r"contains\((\w+),'((?:[^']|'')*)'\)", text)
    for record in records:
        same = all(str(record.get(f)) == (t.replace("''", "'") or n) for f, t, n in equal)
        has = any(t.replace("''", "'") in str(record.get(f)) for f, t in contains)
        if same and (has or not contains):
            yield record


def _json(body: object) -> httpx.Response:
    return httpx.Response(200, json=body)


def _error(code: str, status: int) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": "no"}})


@pytest.fixture
def script() -> Callable[..., Script]:
    """Makes a driver in memory from replies: ``script(ok({...}), ok({...}, 201))``."""
    return Script


@pytest.fixture
def ok() -> Callable[..., Reply]:
    """Makes a reply: ``ok(body, status, header_name=value)``."""
    return reply


@pytest.fixture
def odata() -> ODataCrm:
    """A CRM in memory in the style of the example profile; call it with a request."""
    return ODataCrm()


@pytest.fixture
def offline() -> Callable[..., Target]:
    """Makes a target that nothing listens on."""

    def make(connector: str = "refcrm", **changes: Any) -> Target:
        fields: dict[str, Any] = {
            "name": "crm",
            "connector": connector,
            "url": "http://odata.test",
            "password": Secret("secret"),
        }
        return Target(**{**fields, **changes})

    return make
