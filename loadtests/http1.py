"""HTTP/1.1 as bytes: prebuilt request heads, answers read with a search and two expressions.

Nothing here does I/O: :func:`read_answer` is a generator that yields when it needs more bytes, so
that the same code is driven by a socket, by TLS and, in tests, one byte at a time.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MAX_HEAD = 65_536
MAX_LINE = 16_384
MAX_INTERIM = 32
"""1xx answers in front of the real one before the server counts as mad."""

_HEAD = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n\0]*)?"
    rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*)*"
)
_ONE = ord("1")
_EMPTY = frozenset((204, 304))
_LENGTH = b"\r\ncontent-length:"
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\Z")


class ProtocolError(Exception):
    """The answer is not HTTP/1.1 as it should be."""


@dataclass(slots=True)
class Answer:
    """One answer; ``reusable`` says whether another request may go over the connection."""

    status: int
    headers: LazyHeaders
    body: bytes
    reusable: bool


Reading = Generator[None, bytes, Answer]
"""Yields when it wants bytes; is sent them, or b"" when the server has closed."""


def whole_answer(method: str, data: bytes) -> Answer | None:
    """The answer, if ``data`` is exactly one of the ordinary kind; else None, and
    :func:`read_answer` decides.  Nine answers of ten are, and this is five times as quick.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 or _HEAD.fullmatch(data, 0, end) is None:
        return None
    head = data[:end]
    lower = head.lower()
    at = lower.find(_LENGTH)
    if at < 0 or b"\r\nconnection:" in lower or b"\r\ntransfer-encoding:" in lower:
        return None
    status = int(head[9:12])
    if status < 200 or status in _EMPTY or method == "HEAD" or lower[7] != _ONE:
        return None
    begin, body = at + len(_LENGTH), data[end + 4 :]
    stop = lower.find(b"\r\n", begin)
    if lower[begin : stop if stop >= 0 else end].strip(b" \t") != b"%d" % len(body):
        return None
    if lower.find(_LENGTH, begin) >= 0:
        return None
    return Answer(status, LazyHeaders(head, lower), body, True)


def read_answer(method: str, data: bytes = b"") -> Reading:
    """Read one answer to a request of ``method``.  Raises ProtocolError."""
    for _ in range(MAX_INTERIM):
        end = data.find(b"\r\n\r\n")
        while end < 0:
            data = yield from _more(data)
            end = data.find(b"\r\n\r\n", max(len(data) - 131_072, 0))
        head = data[:end]
        if end > MAX_HEAD:
            raise ProtocolError("the head of the answer is too large")
        if _HEAD.fullmatch(head) is None:
            raise ProtocolError("a malformed head")
        status = int(head[9:12])
        if status >= 200:
            return (yield from _with_body(method, status, head, data[end + 4 :]))
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


def _with_body(method: str, status: int, head: bytes, rest: bytes) -> Reading:
    lower = head.lower()
    reusable = _may_follow(lower)
    if method == "HEAD" or status in (204, 304):
        return _alone(Answer(status, LazyHeaders(head, lower), b"", reusable), rest)
    if b"\r\ntransfer-encoding:" in lower:
        _check_chunked(lower)
        body, rest = yield from _chunks(rest)
        return _alone(Answer(status, LazyHeaders(head, lower), body, reusable), rest)
    at = lower.find(_LENGTH)
    if at >= 0:
        length = _length(lower, at)
        if len(rest) < length:
            rest = yield from _exactly(rest, length)
        body = rest[:length]
        return _alone(Answer(status, LazyHeaders(head, lower), body, reusable), rest[length:])
    body = yield from _until_close(rest)
    return Answer(status, LazyHeaders(head, lower), body, reusable=False)


def _alone(answer: Answer, rest: bytes) -> Answer:
    """The answer, unless something came behind it: then nobody knows where it ends."""
    if rest:
        raise ProtocolError("bytes after the answer")
    return answer


def _may_follow(lower: bytes) -> bool:
    """Whether the server keeps the connection open, as far as its words go."""
    words: set[bytes] = set()
    if b"\r\nconnection:" in lower:
        words = {
            word.strip() for value in _values(lower, b"connection") for word in value.split(b",")
        }
    if lower.startswith(b"http/1.0"):
        return b"keep-alive" in words
    return b"close" not in words


def _values(lower: bytes, name: bytes) -> list[bytes]:
    """Every value of a header in a lower-case head."""
    start = name + b":"
    lines = lower.split(b"\r\n")[1:]
    return [line[len(start) :].strip(b" \t") for line in lines if line.startswith(start)]


def _check_chunked(lower: bytes) -> None:
    if _LENGTH in lower or _values(lower, b"transfer-encoding") != [b"chunked"]:
        raise ProtocolError("an unusable transfer-encoding")


def _length(lower: bytes, at: int) -> int:
    """The length promised at an offset of a head.  Raises ProtocolError for two, or nonsense."""
    begin = at + len(_LENGTH)
    end = lower.find(b"\r\n", begin)
    text = lower[begin : end if end >= 0 else len(lower)].strip(b" \t")
    if not text.isdigit() or len(text) > 15 or lower.find(_LENGTH, begin) >= 0:
        raise ProtocolError("an unusable content-length")
    return int(text)


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

    def __init__(self, head: bytes, lower: bytes) -> None:
        self._head = head
        self._lower = lower
        self._all: dict[str, str] | None = None

    @property
    def encoded(self) -> bool:
        """Whether there is a content-encoding."""
        return b"\r\ncontent-encoding:" in self._lower

    def get(self, name: str, default: Any = None) -> Any:
        """One header's value, all of them joined by commas if it came several times."""
        needle = _needle(name)
        begin = self._lower.find(needle)
        if begin < 0:
            return default
        begin += len(needle)
        if self._lower.find(needle, begin) >= 0:
            return self._parsed()[name]
        end = self._head.find(b"\r\n", begin)
        return self._head[begin : end if end >= 0 else None].strip().decode("latin-1")

    def values_of(self, name: str) -> list[str]:
        """Every value of one header by itself, for those that a comma does not divide."""
        if _needle(name) not in self._lower:
            return []
        lines = self._head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return [value.strip() for key, _, value in pairs if key.lower() == name]

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


@lru_cache(maxsize=256)
def _needle(name: str) -> bytes:
    return f"\r\n{name}:".encode("latin-1")


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
    """Request heads, built once for each set of headers that follow one another."""

    def __init__(self, host: str, fixed: Mapping[str, str]) -> None:
        lines = {"Host": host, **fixed}
        self._fixed = "".join(f"{name}: {clean(value)}\r\n" for name, value in lines.items())
        self._known: dict[str, tuple[Mapping[str, str], bytes]] = {}

    def of(self, method: str, headers: Mapping[str, str]) -> bytes:
        """The head after the path, without the blank line.  Each method remembers its last."""
        known = self._known.get(method)
        if known is not None and known[0] == headers:
            return known[1]
        own = "".join(f"{name}: {clean(value)}\r\n" for name, value in headers.items())
        head = f" HTTP/1.1\r\n{self._fixed}{own}".encode("latin-1")
        self._known[method] = (dict(headers), head)
        return head


def clean(value: str) -> str:
    """A header's value.  Raises ProtocolError for one that would break out of its line."""
    if "\r" in value or "\n" in value:
        raise ProtocolError("a header value with a line break")
    return value


def request_bytes(method: str, path: str, head: bytes, extra: bytes, body: bytes | None) -> bytes:
    """One request, ready to send.  Raises ProtocolError for a path with blanks or line breaks."""
    if " " in path or "\r" in path or "\n" in path or not path.isascii():
        raise ProtocolError("a path that is not percent-encoded")
    line = f"{method} {path}".encode()
    if body is not None:
        return b"%b%b%bcontent-length: %d\r\n\r\n%b" % (line, head, extra, len(body), body)
    return b"%b%b%b%b" % (line, head, extra, _NO_BODY.get(method, _EMPTY_BODY))


_EMPTY_BODY = b"content-length: 0\r\n\r\n"
_NO_BODY = dict.fromkeys(("GET", "HEAD", "DELETE", "OPTIONS"), b"\r\n")
