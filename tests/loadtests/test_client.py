"""Our client against locust's over a server of nasty answers, and what is ours alone."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.child.connection import Connection, ConnectionLost, Endpoint, Overdue
from loadtests.child.sweeper import Sweeper
from loadtests.http1 import Answer, ProtocolError, read_answer, whole_answer

from .nasty import CASES, GOOD, Case, NastyServer, Seen, chunked, unpack, with_length

LIMIT = 1.0
STRICTER = {
    "folded header": "RFC 9112 5.2 lets a user agent refuse line folding",
}
REQUEST = b"%b / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def stock() -> Iterator[dict[str, Seen]]:
    """What FastHttpUser makes of every case, from a process of its own."""
    servers = [NastyServer(each) for each in CASES]
    order = [
        {"port": server.port, "method": case.method, "limit": LIMIT}
        for case, server in zip(CASES, servers, strict=True)
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.loadtests.nasty"],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=True,
            timeout=90,
            cwd=Path(__file__).resolve().parents[2],
        )
        rows = json.loads(done.stdout)
        yield {case.name: unpack(row) for case, row in zip(CASES, rows, strict=True)}
    finally:
        for each in servers:
            each.close()


def connection(port: int, limit: float = LIMIT) -> Connection:
    return Connection(Endpoint("127.0.0.1", port, None), Sweeper(), limit)


def ours(case: Case) -> Seen:
    server = NastyServer(case)
    client = connection(server.port)
    try:
        method = case.method
        answer = client.exchange(REQUEST % method.encode(), method, idempotent=False)
    except (ConnectionLost, ProtocolError, Overdue):
        return Seen(True)
    finally:
        client.close()
        server.close()
    return Seen(False, answer.status, answer.body, dict(answer.headers))


@pytest.mark.parametrize("case", CASES, ids=lambda each: each.name)
def test_we_see_what_locust_sees(case: Case, stock: dict[str, Seen]) -> None:
    mine, theirs = ours(case), stock[case.name]
    if case.name in STRICTER:
        assert mine.failed
        return
    assert (mine.failed, mine.status, mine.body) == (theirs.failed, theirs.status, theirs.body)
    assert {name: value.strip() for name, value in theirs.headers.items()} == mine.headers


def feed(method: str, pieces: list[bytes], *, closes: bool = True) -> Answer | str:
    """What the parser makes of bytes in pieces; the name of what it raises otherwise."""
    reading = read_answer(method)
    try:
        next(reading)
        for each in [*pieces, *([b""] if closes else [])]:
            reading.send(each)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    except ProtocolError:
        return "refused"
    return "waits"


WHOLE = [
    (each.method, b"".join(part for part in each.parts if isinstance(part, bytes)))
    for each in CASES
    if each.parts and each.name != "length too short"  # surplus shows only if it comes along
]


def same(one: Answer | str, other: Answer | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return (one.status, dict(one.headers), one.body) == (
        other.status,
        dict(other.headers),
        other.body,
    )


@pytest.mark.parametrize(("method", "data"), WHOLE)
def test_it_does_not_matter_where_an_answer_is_split(method: str, data: bytes) -> None:
    if len(data) > 3000:
        data = data[:200] + data[-200:]
    whole = feed(method, [data])
    for at in range(1, len(data)):
        assert same(feed(method, [data[:at], data[at:]]), whole), at
    bytewise = feed(method, [data[at : at + 1] for at in range(len(data))])
    assert same(bytewise, whole)


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_any_body_in_any_pieces_arrives_whole(chunks: list[bytes], data: st.DataObject) -> None:
    body = b"".join(chunks)
    sent = data.draw(
        st.sampled_from((with_length(body), chunked(*[each for each in chunks if each])))
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    edges = [0, *cuts, len(sent)]
    pieces = [sent[a:b] for a, b in itertools.pairwise(edges) if a < b]
    found = feed("GET", pieces, closes=False)
    assert isinstance(found, Answer)
    assert (found.status, found.body, found.reusable) == (200, body, True)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_garbage_never_hangs_and_never_becomes_an_answer(data: bytes) -> None:
    found = feed("GET", [data])
    assert isinstance(found, str)
    quick = whole_answer("GET", data)
    assert quick is None


@settings(max_examples=200)
@given(st.data())
def test_the_quick_way_agrees_with_the_long_way(data: st.DataObject) -> None:
    method, sent = data.draw(st.sampled_from(WHOLE))
    at = data.draw(st.integers(0, len(sent)))
    sent = sent[:at] + data.draw(st.binary(max_size=3)) + sent[at:]
    try:
        quick = whole_answer(method, sent)
    except ProtocolError:
        quick = None
    if quick is not None:
        assert same(feed(method, [sent], closes=False), quick)


class Server:
    """A server whose connections a test speaks for: one thread, one function for each."""

    def __init__(self, *scripts: object) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.requests: list[bytes] = []
        self._scripts = scripts
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for script in self._scripts:
            sock, _ = self.listener.accept()
            sock.settimeout(5)
            script(self, sock)  # type: ignore[operator]
            sock.close()

    def read(self, sock: socket.socket) -> None:
        self.requests.append(sock.recv(65536))

    def close(self) -> None:
        self._thread.join(5)
        self.listener.close()


def answers(*texts: bytes) -> object:
    """A connection that answers each request in turn and then closes."""

    def script(server: Server, sock: socket.socket) -> None:
        for each in texts:
            server.read(sock)
            sock.sendall(each)

    return script


def ask(client: Connection, *, idempotent: bool = True) -> bytes:
    method = "GET" if idempotent else "POST"
    return client.exchange(REQUEST % method.encode(), method, idempotent=idempotent).body


def test_a_connection_is_kept() -> None:
    server = Server(answers(with_length(b"1"), with_length(b"2"), with_length(b"3")))
    client = connection(server.port)
    assert [ask(client) for _ in range(3)] == [b"1", b"2", b"3"]
    assert client.opened == 1
    client.close()
    server.close()


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nWRONG", b"x"])
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_bytes_that_nobody_asked_for_are_never_the_next_answer(
    surplus: bytes, pause: float
) -> None:
    def garbage(server: Server, sock: socket.socket) -> None:
        server.read(sock)
        sock.sendall(with_length(b"first"))
        time.sleep(pause)
        sock.sendall(surplus)
        time.sleep(0.2)

    server = Server(garbage, answers(with_length(b"second")))
    client = connection(server.port)
    try:
        assert ask(client) == b"first"
    except ProtocolError as refused:
        assert str(refused) == "bytes after the answer"
    gevent.sleep(0.1)
    assert ask(client) == b"second"
    assert client.opened == 2
    client.close()
    server.close()


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_connection_that_was_closed_meanwhile_is_replaced(idempotent: bool) -> None:
    server = Server(answers(with_length(b"1")), answers(with_length(b"2")))
    client = connection(server.port)
    assert ask(client, idempotent=idempotent) == b"1"
    gevent.sleep(0.1)
    assert ask(client, idempotent=idempotent) == b"2"
    assert len(server.requests) == 2
    client.close()
    server.close()


def drops(server: Server, sock: socket.socket) -> None:
    """Answers once, takes the second request and closes without a word."""
    server.read(sock)
    sock.sendall(with_length(b"1"))
    server.read(sock)


def test_only_what_is_idempotent_is_sent_again() -> None:
    server = Server(drops, answers(with_length(b"2")))
    client = connection(server.port)
    assert ask(client) == b"1"
    assert ask(client) == b"2"
    assert len(server.requests) == 3
    client.close()
    server.close()


def test_a_write_is_never_sent_twice() -> None:
    server = Server(drops)
    client = connection(server.port)
    assert ask(client, idempotent=False) == b"1"
    with pytest.raises(ConnectionLost, match="closed without an answer"):
        ask(client, idempotent=False)
    server.close()
    assert len(server.requests) == 2


def silent(seconds: float, *before: bytes) -> object:
    def script(server: Server, sock: socket.socket) -> None:
        server.read(sock)
        for each in before:
            sock.sendall(each)
        time.sleep(seconds)

    return script


@pytest.mark.parametrize("before", [(), (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",)])
def test_silence_ends(before: tuple[bytes, ...]) -> None:
    server = Server(silent(1.0, *before))
    client = connection(server.port, limit=0.3)
    with pytest.raises(Overdue):
        ask(client)
    server.close()


def test_a_drip_that_never_ends_ends() -> None:
    def drip(server: Server, sock: socket.socket) -> None:
        server.read(sock)
        with contextlib.suppress(OSError):
            sock.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                sock.sendall(b"X-A: 1\r\n")
                time.sleep(0.02)

    server = Server(drip)
    client = connection(server.port, limit=0.4)
    with pytest.raises(Overdue, match="no whole answer in time"):
        ask(client)
    client.close()
    server.close()


def test_a_head_without_an_end_is_refused() -> None:
    server = Server(silent(0.5, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000))
    client = connection(server.port)
    with pytest.raises(ProtocolError, match="too large"):
        ask(client)
    server.close()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    with pytest.raises(ConnectionLost, match="cannot connect: connection refused"):
        ask(connection(port))


def test_a_large_request_is_sent_whole() -> None:
    body = b"z" * 3_000_000

    def swallow(server: Server, sock: socket.socket) -> None:
        data = b""
        while len(data) < len(body):
            part = sock.recv(65536)
            data += part
        server.requests.append(data)
        sock.sendall(GOOD)

    server = Server(swallow)
    client = connection(server.port, limit=5)
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert client.exchange(head + body, "POST", idempotent=False).status == 200
    client.close()
    server.close()
    assert server.requests[0].endswith(body[:1000])
