"""Answers of badly behaved servers, a server that gives them, and the two clients to be compared.

``python -m tests.loadtests.nasty`` reads cases as JSON from standard input and prints what
locust's FastHttpUser makes of each: it patches the interpreter, so it is not for the test process.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OK = b"HTTP/1.1 200 OK\r\n"
Parts = Sequence[bytes | float]
"""What a server does: sends bytes, or sleeps for seconds; at the end it closes."""


@dataclass(frozen=True)
class Case:
    """One bad answer.  ``method`` asks for it; ``keep``: the server does not close afterwards."""

    name: str
    parts: Parts
    method: str = "GET"
    keep: bool = False


def with_length(body: bytes, extra: bytes = b"") -> bytes:
    return OK + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    sent = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + sent + b"0\r\n" + trailer + b"\r\n"


def split_everywhere(data: bytes) -> list[Parts]:
    return [(data[:at], 0.002, data[at:]) for at in range(1, len(data))]


GOOD = with_length(b'{"a": 1}')
CASES = (
    Case("plain", (GOOD,), keep=True),
    Case("no length, closed", (OK + b"\r\nuntil the end",)),
    Case("empty length", (OK + b"Content-Length: 0\r\n\r\n",), keep=True),
    Case("length too short", (OK + b"Content-Length: 3\r\n\r\nabcdef",)),
    Case("length too long", (OK + b"Content-Length: 30\r\n\r\nabcdef",)),
    Case("length not a number", (OK + b"Content-Length: x\r\n\r\nabc",)),
    Case("length negative", (OK + b"Content-Length: -1\r\n\r\nabc",)),
    Case("two lengths that differ", (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",)),
    Case(
        "length and chunked",
        (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    ),
    Case("closed at once", ()),
    Case("closed in the status line", (b"HTTP/1.1 20",)),
    Case("closed in the head", (OK + b"Content-Le",)),
    Case("not HTTP", (b"SSH-2.0-OpenSSH_9.2\r\n\r\n",)),
    Case("status no number", (b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",)),
    Case("no reason phrase", (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",), keep=True),
    Case("HTTP/1.0", (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",)),
    Case(
        "many headers", (with_length(b"ok", b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(60))),)
    ),
    Case("huge header", (with_length(b"ok", b"X-Big: " + b"y" * 30_000 + b"\r\n"),)),
    Case("header without colon", (OK + b"nonsense\r\nContent-Length: 2\r\n\r\nok",)),
    Case("folded header", (OK + b"X-A: 1\r\n  2\r\nContent-Length: 2\r\n\r\nok",)),
    Case("blank before colon", (OK + b"Content-Length : 2\r\n\r\nok",)),
    Case("length in capitals", (OK + b"CONTENT-LENGTH:2\r\n\r\nok",), keep=True),
    Case("chunked", (chunked(b"hello ", b"world"),), keep=True),
    Case("chunked, empty", (chunked(),), keep=True),
    Case("chunked with trailer", (chunked(b"hi", trailer=b"X-Sum: 1\r\n"),), keep=True),
    Case(
        "chunk with extension",
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n",),
        keep=True,
    ),
    Case("bad chunk size", (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n",)),
    Case("chunk without its end", (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhiXX0\r\n\r\n",)),
    Case("closed in a chunk", (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhi",)),
    Case("closed before the last chunk", (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",)),
    Case("100 first", (b"HTTP/1.1 100 Continue\r\n\r\n", 0.02, GOOD), keep=True),
    Case("100 and answer at once", (b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,), keep=True),
    Case(
        "103 with headers", (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + GOOD,), keep=True
    ),
    Case("204", (b"HTTP/1.1 204 No Content\r\n\r\n",), keep=True),
    Case("204 with length", (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",), keep=True),
    Case("304", (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",), keep=True),
    Case("HEAD with length", (OK + b"Content-Length: 99\r\n\r\n",), method="HEAD", keep=True),
    Case("404 with body", (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",), keep=True),
    Case(
        "500 and close", (b"HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",)
    ),
    Case("slow drip", tuple(x for byte in GOOD for x in (bytes([byte]), 0.001)), keep=True),
    Case("binary body", (with_length(bytes(range(256)) * 40),), keep=True),
    Case("split in two", (GOOD[:30], 0.01, GOOD[30:]), keep=True),
)


class NastyServer:
    """Answers every connection's first request as the case says, each on a port of its own."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._stop = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(5)
        self._listener.close()
        for each in self._open:
            each.close()

    def _run(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._stop:
                sock.close()
                return
            self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(5)
        try:
            data = b""
            while b"\r\n\r\n" not in data:
                part = sock.recv(65536)
                if not part:
                    break
                data += part
            for each in self._case.parts if data else ():
                if isinstance(each, bytes):
                    sock.sendall(each)
                else:
                    time.sleep(each)
        except OSError:
            pass
        if self._case.keep:
            self._open.append(sock)
        else:
            sock.close()


@dataclass(frozen=True)
class Seen:
    """What a client made of an answer: a whole one, or ``failed`` (no status)."""

    failed: bool
    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def pack(seen: Seen) -> dict[str, Any]:
    body = base64.b64encode(seen.body).decode()
    return {"failed": seen.failed, "status": seen.status, "body": body, "headers": seen.headers}


def unpack(row: dict[str, Any]) -> Seen:
    return Seen(row["failed"], row["status"], base64.b64decode(row["body"]), row["headers"])


def stock_sees(port: int, method: str, limit: float) -> Seen:
    """What FastHttpUser's client makes of the answer.  Patches the interpreter."""
    from locust.contrib.fasthttp import FastHttpSession
    from locust.env import Environment

    problems: list[BaseException | None] = []
    environment = Environment()

    def note(exception: BaseException | None, **_: object) -> None:
        problems.append(exception)

    environment.events.request.add_listener(note)  # type: ignore[no-untyped-call]
    session = FastHttpSession(
        f"http://127.0.0.1:{port}",
        environment.events.request,
        user=None,
        connection_timeout=limit,
        network_timeout=limit,
        max_retries=0,
    )
    answer = session.request(method, "/")
    status = answer.status_code or 0
    torn = problems[-1] is not None and not hasattr(problems[-1], "code") and status < 400
    if not status or torn:
        return Seen(True)
    headers = {name.lower(): str(value) for name, value in (answer.headers or {}).items()}
    return Seen(False, status, answer.content or b"", headers)


if __name__ == "__main__":
    import locust  # noqa: F401 - patches the interpreter before anything happens

    rows = [
        pack(stock_sees(each["port"], each["method"], each["limit"]))
        for each in json.load(sys.stdin)
    ]
    sys.stdout.write(json.dumps(rows))
