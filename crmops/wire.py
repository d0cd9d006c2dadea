"""What travels between connectors and drivers.  Neither side does the other's work."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request: ``path`` is relative to the target's address, ``name`` groups statistics.

    ``name`` must be bounded (``contacts.get``, never ``contacts/123``).
    """

    method: str
    path: str
    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    idempotent: bool = False


class Reply:
    """One HTTP answer.  ``headers`` have lower-case names; the body is parsed only when asked."""

    __slots__ = ("_parsed", "body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._parsed: Any = _UNPARSED

    def json(self) -> Any:
        """The body as JSON, parsed once.  Raises ValueError if it is not JSON."""
        if self._parsed is _UNPARSED:
            try:
                self._parsed = orjson.loads(self.body)
            except orjson.JSONDecodeError:
                # Stricter than the standard library: a BOM, UTF-16, NaN, half a surrogate pair.
                self._parsed = json.loads(self.body)
        return self._parsed


_UNPARSED = object()


@dataclass(frozen=True, slots=True)
class Think:
    """A person reads, talks or types for about this long: ``seconds`` is the median.

    A probe does not wait; a load test draws from its role's distribution.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """The journey's next step begins: statistics and reports use its name."""

    name: str


Order: TypeAlias = Call | Think | Step
"""What a journey may yield."""

Exchange: TypeAlias = Generator[Order, Reply | None, Any]
"""A conversation: yields orders, receives a Reply for each Call (None for the others).

The driver throws :class:`crmops.outcome.CallFailed` for transport problems; the connector raises
it for answers that its dialect calls a failure.
"""


def json_call(
    method: str,
    path: str,
    name: str,
    payload: object = None,
    *,
    idempotent: bool | None = None,
) -> Call:
    """A call with a JSON body (none if ``payload`` is None)."""
    body = None if payload is None else json.dumps(payload, ensure_ascii=False).encode()
    safe = method in ("GET", "HEAD", "PUT", "DELETE") if idempotent is None else idempotent
    headers = JSON_HEADERS if body is not None else {}
    return Call(method, path, name, headers, body, safe)
