"""One request as the handlers see it, and the answers they give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope

from refcrm.errors import ApiError, invalid, missing
from refcrm.model import ENTITIES, Entity
from refcrm.validate import to_id

if TYPE_CHECKING:
    from refcrm.services import Services
    from refcrm.sessions import Principal

JSON_BODY_LIMIT = 1_000_000  # bytes
_JSON = (b"content-type", b"application/json")
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC


@dataclass(slots=True)
class Answer:
    """A complete reply, ready for the wire."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[["Call"], Awaitable[Answer | Response]]


def answer(document: Any, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """A JSON reply; database rows inside the document are written as objects."""
    return Answer(status, orjson.dumps(document, dict, _OPTIONS), (_JSON, *headers))


NO_CONTENT = Answer(204, b"")


@dataclass(slots=True)
class Call:
    """What a handler may know and must tell.

    entity, record_id and action end up in the access log, so a handler that works on a record
    the path does not name sets record_id itself.
    """

    services: Services
    scope: Scope
    receive: Receive
    action: str
    parameters: dict[str, str]
    principal: Principal
    record_id: int | None = None
    logged: bool = True
    _query: dict[str, str] | None = field(default=None)

    @property
    def entity(self) -> Entity:
        """The entity named in the path; ApiError 404 when there is none of that name."""
        name = self.parameters["entity"]
        found = ENTITIES.get(name)
        if found is None:
            raise missing(f"entity {name[:60]!r}")
        return found

    @property
    def reader(self) -> Principal:
        """Whose permissions a read is held to: the caller's, unless the fault knob leaks."""
        if self.services.faults.knobs.leak_permission:
            return replace(self.principal, role="integration")
        return self.principal

    def path_id(self) -> int:
        """The record id of the path, remembered for the access log; ApiError 404 if unfit."""
        number = to_id(self.parameters["id"])
        if number is None:
            raise missing("the record")
        self.record_id = number
        return number

    @property
    def query(self) -> dict[str, str]:
        """The query string; of a repeated name the last counts."""
        if self._query is None:
            raw = self.scope["query_string"]
            self._query = parse_query(raw) if raw else {}
        return self._query

    def limit(self, default: int = 20, maximum: int = 200) -> int:
        """The page size asked for, 1 to maximum."""
        text = self.query.get("limit")
        if text is None:
            return default
        number = to_id(text)
        if number is None or number > maximum:
            raise invalid("the limit does not fit", {"limit": f"must be 1 to {maximum}"})
        return number

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name."""
        for key, value in self.scope["headers"]:
            if key == name:
                text: str = value.decode("latin-1")
                return text
        return None

    async def body(self, limit: int = JSON_BODY_LIMIT) -> bytes:
        """The whole body; ApiError 413 beyond limit bytes."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "invalid", "the request ended before its body did")
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise ApiError(413, "too_large", f"the body is larger than {limit} bytes")
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def json(self) -> Any:
        """The body as JSON; an empty one is an empty object."""
        raw = await self.body()
        if not raw:
            return {}
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            place = f"line {error.lineno} column {error.colno}"
            raise invalid(f"the body is not valid JSON, see {place}") from None


def parse_query(raw: bytes) -> dict[str, str]:
    """Decode a query string; ApiError 400 for what no database text can hold."""
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise invalid("the query string has too many parts") from None
    for name, value in pairs:
        if "\0" in value or "\0" in name:
            raise invalid("the query string contains a null character")
    return dict(pairs)
