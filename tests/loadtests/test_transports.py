"""One test body over both transports: our own client, and that of locust's FastHttpUser."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from crmops.outcome import Outcome
from crmops.record import Verdict
from crmops.target import Target
from crmops.wire import Call
from loadtests.child.books import Books
from loadtests.child.client import Client, open_site
from tests.conftest import RefcrmServer, TargetFactory

from .conftest import SETTINGS, SMALL, Loaded
from .nasty import with_length
from .test_client import Server, answers
from .test_run import marked, value

OK = with_length(b"{}")
Connect = Callable[..., Client]


@pytest.fixture(params=["lean", "fasthttp"])
def connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes a client over one of the two transports.  locust must not patch this process."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    from locust import FastHttpUser, User
    from locust.env import Environment

    from loadtests.child.stock import client_of, user_bases

    plain = type("Plain", (User,), {"abstract": True})

    def make(address: str, *, timeout: float = 5, redirects: int = 0, cookies: bool = False) -> Any:
        target = Target(name="crm", connector="refcrm", url=address, timeout=timeout)
        site = open_site(target, Books(), 1e9, lambda **_: None, redirects)
        bases, fields = user_bases(plain, request.param, target)
        person = type("Someone", bases, {**fields, "abstract": True})(Environment())
        assert isinstance(person, FastHttpUser) is (request.param == "fasthttp")
        rng = random.Random(1)
        return client_of(person, site, lambda _: None, rng, cookies=cookies)

    return make


def get(path: str = "/api", **headers: str) -> Call:
    return Call("GET", path, "accounts.list", headers, None, True)


def post(body: bytes, *, idempotent: bool = False) -> Call:
    return Call("POST", "/api", "leads.create", {"content-type": "text/csv"}, body, idempotent)


def test_what_goes_over_the_wire(connect: Connect) -> None:
    server = Server(answers(with_length(b"one"), with_length(b"two")))
    client = connect(f"http://127.0.0.1:{server.port}/base")
    first, second = client.send(get("/a?q=%20x", authorization="Bearer t")), client.send(post(b"1"))
    assert first.reply is not None
    assert second.reply is not None
    assert (first.reply.body, second.reply.body) == (b"one", b"two")
    client.close()
    server.close()
    asked, posted = (each.lower() for each in server.requests)
    assert asked.startswith(b"get /base/a?q=%20x http/1.1\r\n")
    assert b"\r\nauthorization: bearer t\r\n" in asked
    assert b"\r\nuser-agent: crmops-load\r\n" in asked
    assert f"traceparent: 00-{client.trace_of(first)}-".encode() in asked
    assert posted.startswith(b"post /base/api http/1.1\r\n")
    assert b"\r\ncontent-type: text/csv\r\n" in posted
    assert posted.endswith(b"\r\n\r\n1")


@pytest.mark.parametrize("status", [201, 400, 404, 429, 500])
def test_every_status_is_an_answer(connect: Connect, status: int) -> None:
    text = b"HTTP/1.1 %d X\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\n{}" % status
    server = Server(answers(text))
    client = connect(f"http://127.0.0.1:{server.port}")
    sent = client.send(get())
    assert sent.reply is not None
    assert (sent.reply.status, sent.reply.body) == (status, b"{}")
    assert sent.reply.headers.get("x-a") == "1, 2"
    client.close()
    server.close()


def test_a_compressed_answer(connect: Connect) -> None:
    import gzip

    packed = gzip.compress(b"plain" * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    server = Server(answers(head % len(packed) + packed))
    client = connect(f"http://127.0.0.1:{server.port}")
    sent = client.send(get())
    assert sent.reply is not None
    assert sent.reply.body == b"plain" * 100
    client.close()
    server.close()


def test_cookies_are_kept_only_where_they_are_wanted(connect: Connect) -> None:
    given = b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=1; Path=/\r\nContent-Length: 0\r\n\r\n"
    for wanted in (True, False):
        server = Server(answers(given, OK))
        client = connect(f"http://127.0.0.1:{server.port}", cookies=wanted)
        client.send(get())
        client.send(get())
        client.close()
        server.close()
        assert (b"cookie: sid=1" in server.requests[1].lower()) is wanted


def test_redirects_are_followed_only_when_asked(connect: Connect) -> None:
    there = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    for redirects, status in ((0, 302), (2, 200)):
        server = Server(answers(*([there, OK] if redirects else [there])))
        client = connect(f"http://127.0.0.1:{server.port}", redirects=redirects)
        sent = client.send(get())
        assert sent.reply is not None
        assert sent.reply.status == status
        client.close()
        server.close()


def drops(server: Server, sock: socket.socket) -> None:
    server.read(sock)


def silent(server: Server, sock: socket.socket) -> None:
    server.read(sock)
    sock.recv(1)  # until the client gives up


def drips(server: Server, sock: socket.socket) -> None:
    server.read(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(99):
            sock.sendall(b"x")
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("script", "outcome"),
    [(drops, Outcome.TRANSPORT), (silent, Outcome.TIMEOUT), (drips, Outcome.TIMEOUT),
     (answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), Outcome.TRANSPORT),
     (answers(b"nonsense\r\n\r\n"), Outcome.TRANSPORT)],
    ids=["drops", "silent", "drips", "torn", "nonsense"],
)  # fmt: skip
def test_failures_have_one_class_and_the_next_call_goes_through(
    connect: Connect, script: object, outcome: Outcome
) -> None:
    server = Server(script, answers(OK))
    client = connect(f"http://127.0.0.1:{server.port}", timeout=0.4)
    failed = client.send(post(b"x"))
    assert failed.problem is not None
    assert (failed.problem.outcome, failed.reply) == (outcome, None)
    assert "127.0.0.1" not in str(failed.problem)
    again = client.send(post(b"x"))
    assert again.reply is not None
    client.close()
    server.close()
    assert len(server.requests) == 2  # a write is never sent twice


def test_nobody_listens(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    sent = connect(f"http://127.0.0.1:{port}").send(get())
    assert sent.problem is not None
    assert sent.problem.outcome is Outcome.TRANSPORT


def test_a_header_cannot_break_out_of_its_line(connect: Connect) -> None:
    server = Server(answers(OK))
    client = connect(f"http://127.0.0.1:{server.port}")
    sent = client.send(get(authorization="Bearer t\r\nX-Evil: 1"))
    assert sent.problem is not None
    client.send(get())
    client.close()
    server.close()
    assert len(server.requests) == 1


def test_a_small_load_over_locusts_own(
    load: Loaded, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    """Over ours it is test_run's."""
    settings = SETTINGS.model_copy(update={"client": "fasthttp"})
    run = load(target_factory(), SMALL.changed(seconds=4), settings)
    assert run.verdict is Verdict.PASS, run.reason
    assert value(run, "users") == 20
    assert value(run, "error.ratio") < 0.05  # what waits for its answer at the end is a failure
    assert value(run, "data.created") > 0
    assert (value(run, "data.lost"), value(run, "data.left")) == (0, 0)
    assert value(run, "response_time.p95{deals.create}") > 0
    assert marked(refcrm_server, run.id) == 0
