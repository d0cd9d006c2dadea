"""HTTP/1.1 as bytes: prebuilt request heads, answers read with a search and two expressions.

Nothing here does I/O: :func:`read_answer` is a generator that yields when it needs more bytes, so
that the same code is driven by a socket, by TLS and, in tests, one byte at a time.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

MAX_HEAD = 65_536
MAX_LINE = 16_384
MAX_INTERIM = 32
"""1xx answers in front of the real one before the server counts as mad."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?(?=\r\n)")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([^\r\n]*)", re.I)
_CODING = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r\n]*)", re.I)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*(?:[^\r\n]*,)?[ \t]*close\b", re.I)
_KEEP = re.compile(rb"\r\nconnection:[ \t]*(?:[^\r\n]*,)?[ \t]*keep-alive\b", re.I)
_BAD_LINE = re.compile(rb"\r\n(?![!#$%&'*+\-.^_`|~0-9A-Za-z]+:)|[^\r]\n|\r(?!\n)|\x00")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\Z")


class ProtocolError(Exception):
    """The answer is not HTTP/1.1 as it should be."""


@dataclass(slots=True)
class Answer:
    """One answer: its status, its head and body as they came, and what may follow it.

    ``reusable`` says whether another request may go over the connection.
    """

    status: int
    head: bytes
    body: bytes
    reusable: bool


Reading = Generator[None, bytes, Answer]
"""Yields when it wants bytes; is sent them, or b"" when the server has closed."""


def read_answer(method: str, data: bytes = b"") -> Reading:
    """Read one answer to a request of ``method``.  Raises ProtocolError.

    Bytes after the answer are never taken for a part of it: they make it not reusable.
    """
    for _ in range(MAX_INTERIM):
        end = data.find(b"\r\n\r\n")
        while end < 0:
            data = yield from _more(data)
            end = data.find(b"\r\n\r\n", max(len(data) - 131_072, 0))
        if end > MAX_HEAD:
            raise ProtocolError("the head of the answer is too large")
        match = _STATUS.match(data)
        if match is None:
            raise ProtocolError("no HTTP/1.1 status line")
        status = int(match[1])
        if status >= 200:
            return (yield from _with_body(method, status, data, end))
        if status == 101:
            raise ProtocolError("the server switches protocols")
        data = data[end + 4 :]
    raise ProtocolError("too many interim answers")


def _more(data: bytes) -> Generator[None, bytes, bytes]:
    if len(data) > MAX_HEAD:
        raise ProtocolError("the head of the answer is too large")
    if data and not b"HTTP/1."[: len(data)] == data[:7]:
        raise ProtocolError("no HTTP/1.1 status line")
    part = yield
    if not part:
        raise ProtocolError("closed in the middle of an answer" if data else "closed")
    return data + part


def _with_body(method: str, status: int, data: bytes, end: int) -> Reading:
    head = data[:end]
    if _BAD_LINE.search(head):
        raise ProtocolError("a malformed header line")
    begin = end + 4
    reusable = not _CLOSE.search(head)
    if head.startswith(b"HTTP/1.0"):
        reusable = bool(_KEEP.search(head))
    if method == "HEAD" or status in (204, 304):
        return Answer(status, head, b"", reusable and len(data) == begin)
    codings, lengths = _CODING.findall(head), _LENGTH.findall(head)
    if codings:
        if lengths or [each.strip().lower() for each in codings] != [b"chunked"]:
            raise ProtocolError("an unusable transfer-encoding")
        body, rest = yield from _chunks(data[begin:])
        return Answer(status, head, body, reusable and not rest)
    if lengths:
        length = _length(lengths)
        body = yield from _exactly(data[begin:], length)
        return Answer(status, head, body[:length], reusable and len(body) == length)
    body = yield from _until_close(data[begin:])
    return Answer(status, head, body, reusable=False)


def _length(found: list[bytes]) -> int:
    if len(set(found)) > 1 or not found[0].rstrip().isdigit() or len(found[0]) > 15:
        raise ProtocolError("an unusable content-length")
    return int(found[0])


def _exactly(data: bytes, length: int) -> Generator[None, bytes, bytes]:
    """At least ``length`` bytes; more only if they came along."""
    if len(data) >= length:
        return data
    parts, missing = [data], length - len(data)
    while missing > 0:
        part = yield
        if not part:
            raise ProtocolError("closed in the middle of an answer")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _until_close(data: bytes) -> Generator[None, bytes, bytes]:
    parts = [data]
    while part := (yield):
        parts.append(part)
    return b"".join(parts)


def _chunks(data: bytes) -> Generator[None, bytes, tuple[bytes, bytes]]:
    """The body in chunks, trailers read over, and what came after it."""
    chunks: list[bytes] = []
    while True:
        line, data = yield from _line(data)
        match = _CHUNK.match(line)
        if match is None:
            raise ProtocolError("a malformed chunk size")
        size = int(match[1], 16)
        if size == 0:
            break
        data = yield from _exactly(data, size + 2)
        if data[size : size + 2] != b"\r\n":
            raise ProtocolError("a chunk without its end")
        chunks.append(data[:size])
        data = data[size + 2 :]
    while line:
        line, data = yield from _line(data)
    return b"".join(chunks), data


def _line(data: bytes) -> Generator[None, bytes, tuple[bytes, bytes]]:
    end = data.find(b"\r\n")
    while end < 0:
        if len(data) > MAX_LINE:
            raise ProtocolError("a line without an end")
        part = yield
        if not part:
            raise ProtocolError("closed in the middle of an answer")
        data += part
        end = data.find(b"\r\n")
    return data[:end], data[end + 2 :]


class LazyHeaders(Mapping[str, str]):
    """An answer's headers, lower-case; one is searched for, all are parsed only when listed."""

    __slots__ = ("_all", "_head", "_lower")

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._lower: bytes | None = None
        self._all: dict[str, str] | None = None

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """One header's value, all of them joined by commas if it came several times."""
        lower = self._lower
        if lower is None:
            lower = self._lower = self._head.lower()
        begin = lower.find(b"\r\n" + name.encode("latin-1") + b":")
        if begin < 0:
            return default
        return (
            self._parsed()[name]
            if self._all or lower.count(b"\r\n" + name.encode("latin-1") + b":") > 1
            else _value(self._head, begin)
        )

    def _parsed(self) -> dict[str, str]:
        if self._all is None:
            found: dict[str, str] = {}
            for line in self._head.decode("latin-1").split("\r\n")[1:]:
                name, _, value = line.partition(":")
                key, value = name.lower(), value.strip()
                found[key] = f"{found[key]}, {value}" if key in found else value
            self._all = found
        return self._all

    def __getitem__(self, name: str) -> str:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())


def _value(head: bytes, begin: int) -> str:
    colon = head.index(b":", begin)
    end = head.find(b"\r\n", colon)
    return head[colon + 1 : end if end >= 0 else None].strip().decode("latin-1")


def decoded(body: bytes, coding: str) -> bytes:
    """A body without its gzip or deflate.  Raises ProtocolError if it is neither or torn."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise ProtocolError("an unknown content-encoding")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(body) + unpacker.flush()
    except zlib.error:
        raise ProtocolError("a torn compressed body") from None
    if not unpacker.eof:
        raise ProtocolError("a torn compressed body")
    return plain


class Heads:
    """Request heads, built once for each set of headers."""

    LIMIT = 64

    def __init__(self, host: str, fixed: Mapping[str, str]) -> None:
        lines = {"Host": host, **fixed}
        self._fixed = "".join(f"{name}: {clean(value)}\r\n" for name, value in lines.items())
        self._known: dict[tuple[tuple[str, str], ...], bytes] = {}

    def of(self, headers: Mapping[str, str]) -> bytes:
        """The head after the request line, without the blank line."""
        key = tuple(headers.items())
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= self.LIMIT:
                self._known.clear()
            own = "".join(f"{name}: {clean(value)}\r\n" for name, value in key)
            found = f" HTTP/1.1\r\n{self._fixed}{own}".encode("latin-1")
            self._known[key] = found
        return found


def clean(value: str) -> str:
    """A header's value.  Raises ProtocolError for one that would break out of its line."""
    if "\r" in value or "\n" in value:
        raise ProtocolError("a header value with a line break")
    return value


def request_bytes(method: str, path: str, head: bytes, body: bytes | None, extra: bytes) -> bytes:
    """One request, ready to send.  Raises ProtocolError for a path with blanks or controls."""
    line = f"{method} {path}"
    if not line.isascii() or line.count(" ") != 1 or not line.isprintable():
        raise ProtocolError("a path that is not percent-encoded")
    if body is None:
        length = b"\r\n" if method in ("GET", "HEAD", "DELETE") else b"content-length: 0\r\n\r\n"
        return line.encode() + head + extra + length
    return line.encode() + head + extra + b"content-length: %d\r\n\r\n" % len(body) + body
