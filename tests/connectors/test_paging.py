"""Paging: whatever the kind, following the cursors reads every record once and comes to an end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.connectors._profile import Profile
from crmops.connectors._rest import Options, RestCore
from crmops.connectors.base import Page
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target
from crmops.wire import Call, Reply

BASE = "https://crm.example/tenant/a"
KINDS: dict[str, dict[str, Any]] = {
    "cursor": {"kind": "cursor", "parameter": "c", "next": "paging.next.after"},
    "cursor-more": {"kind": "cursor", "parameter": "c", "next": "last", "more": "more"},
    "link-absolute": {"kind": "link", "next": "/@next.link"},
    "link-relative": {"kind": "link", "next": "relative"},
    "link-header": {"kind": "link", "header": "Link"},
    "page": {"kind": "page", "parameter": "p"},
    "page-zero-pages": {"kind": "page", "parameter": "p", "first": 0, "pages": "pages"},
    "page-total": {"kind": "page", "parameter": "p", "total": "total"},
    "page-more": {"kind": "page", "parameter": "p", "more": "more"},
    "offset": {"kind": "offset", "parameter": "o"},
    "offset-total": {"kind": "offset", "parameter": "o", "total": "total"},
    "offset-body": {"kind": "offset", "parameter": "q.o", "total": "total", "place": "body"},
}


class Shelf:
    """A server in memory that answers a list in every style at once."""

    def __init__(self, count: int, cap: int, sized: bool) -> None:
        self.records = [{"id": index} for index in range(count)]
        self.cap = cap
        self.sized = sized

    def answer(self, call: Call, first: int) -> Reply:
        given = dict(parse_qsl(urlsplit(call.path).query))
        if call.body:
            body = json.loads(call.body)
            given |= {"o": body["q"]["o"], "n": body.get("n")}
        size = min(int(given.get("n") or self.cap), self.cap)
        begin = int(given.get("c") or given.get("o") or 0)
        if "p" in given:
            begin = (int(given["p"]) - first) * size
        shown = self.records[begin : begin + size]
        end, total = begin + size, len(self.records)
        link = f"/tenant/a/things?c={end}" + (f"&n={size}" if self.sized else "")
        body = {"rows": shown, "total": total, "pages": -(-total // size), "more": end < total}
        body["last"] = str(end)
        headers = {}
        if end < total:
            body |= {
                "paging": {"next": {"after": str(end)}},
                "@next.link": f"http://crm.example{link}",
                "relative": link,
            }
            headers["link"] = f'<{BASE}/things>; rel="first", <{link}>; title="x"; rel="next"'
        return Reply(200, headers, json.dumps(body).encode())


def connector(paging: dict[str, Any]) -> RestCore:
    profile = {
        "name": "shelf",
        "auth": {"kind": "basic"},
        "whoami": {"path": "/me"},
        "entities": {"product": "/things"},
        "records": "rows",
        "paging": paging,
    }
    target = Target(name="t", connector="rest", url=BASE)
    return RestCore(target, Profile.model_validate(profile), Options(profile="shelf"))


def fetch(crm: RestCore, shelf: Shelf, limit: int, cursor: str | None, first: int) -> Page:
    talk = crm.list("product", limit=limit, cursor=cursor)
    call = next(talk)
    assert isinstance(call, Call)
    assert call.path.startswith("/things")
    try:
        talk.send(shelf.answer(call, first))
    except StopIteration as stop:
        page: Page = stop.value
        return page
    raise AssertionError("one call is enough for a page")


def pages(crm: RestCore, shelf: Shelf, limit: int, first: int) -> Iterator[Page]:
    cursor = None
    for _ in range(len(shelf.records) + 2):
        page = fetch(crm, shelf, limit, cursor, first)
        yield page
        cursor = page.cursor
        if cursor is None:
            return
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("name", KINDS)
@given(
    count=st.integers(0, 40), limit=st.integers(1, 12), cap=st.integers(1, 12), sized=st.booleans()
)
def test_every_record_is_read_once(
    name: str, count: int, limit: int, cap: int, *, sized: bool
) -> None:
    paging = KINDS[name] | ({"limit": "n", "max_limit": cap} if sized else {})
    if name == "page-total" and not sized:
        limit = cap  # a total of records says nothing of pages unless their size is known
    crm, shelf = connector(paging), Shelf(count, cap, sized)
    found = [
        one["id"]
        for page in pages(crm, shelf, limit, paging.get("first", 1))
        for one in page.records
    ]
    assert found == [str(index) for index in range(count)]


@given(count=st.integers(1, 40), limit=st.integers(2, 12))
def test_a_server_that_gives_fewer_than_asked_for_is_found_out(count: int, limit: int) -> None:
    crm, shelf = connector(KINDS["page-total"] | {"limit": "n"}), Shelf(count, limit - 1, True)
    if count < limit:
        assert count >= len(fetch(crm, shelf, limit, None, 1).records)
        return
    with pytest.raises(CallFailed, match="max_limit is too high"):
        assert fetch(crm, shelf, limit, None, 1).cursor


def following(paging: dict[str, Any], body: object, cursor: str | None = None) -> str | None:
    talk = connector(paging).list("product", cursor=cursor)
    next(talk)
    try:
        talk.send(Reply(200, {}, json.dumps(body).encode()))
    except StopIteration as stop:
        page: Page = stop.value
        return page.cursor
    raise AssertionError("one call is enough for a page")


@pytest.mark.parametrize(
    ("paging", "body", "message"),
    [
        ("link-absolute", {"@next.link": "https://elsewhere.example/x"}, "on another host"),
        ("link-absolute", {"@next.link": "//elsewhere.example/x"}, "on another host"),
        ("link-absolute", {"@next.link": 5.5}, "without an address"),
        ("cursor", {"paging": {"next": {"after": "here"}}}, "this page again"),
        ("cursor", {"paging": {"next": {"after": {"a": 1}}}}, "without a cursor"),
        ("page-total", {"total": "many"}, "without a count of records"),
        ("page-zero-pages", {}, "without a count of pages"),
        ("offset-total", {"total": 9}, "an empty page at record 0 of 9"),
    ],
)
def test_a_next_page_that_cannot_be(paging: str, body: dict[str, Any], message: str) -> None:
    cursor = "here" if paging == "cursor" else None
    with pytest.raises(CallFailed, match=message) as caught:
        following(KINDS[paging], {"rows": [], **body}, cursor)
    assert caught.value.outcome is Outcome.SERVER


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("https://crm.example/tenant/a/things?x=1&y=%20", "/things?x=1&y=%20"),
        ("http://crm.example:8080/tenant/a/things", "/things"),
        ("/tenant/a/things?c=2", "/things?c=2"),
        ("things?c=2", "/things?c=2"),
        ("?c=2", "/things?c=2"),
        ("/tenant/ab/things", "/tenant/ab/things"),
    ],
)
def test_a_link_becomes_a_path_below_the_targets_address(link: str, path: str) -> None:
    assert following(KINDS["link-relative"], {"rows": [], "relative": link}) == path


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_cursor_of_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(CallFailed, match="a cursor of another kind"):
        next(connector(KINDS[kind]).list("product", cursor="abc"))


def test_an_empty_answer_is_an_empty_page() -> None:
    talk = connector(KINDS["cursor"]).list("product")
    next(talk)
    with pytest.raises(StopIteration) as stopped:
        talk.send(Reply(204, {}, b""))
    page: Page = stopped.value.value
    assert (page.records, page.cursor) == ([], None)
