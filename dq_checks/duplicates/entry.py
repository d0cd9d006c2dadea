"""``POST /api/v1/duplicates/check``: is a record that somebody is entering known already?

A form asks while it is filled in and warns.  Nothing of the record is kept, logged or counted, and
the answer holds no value of a known record: what it is called, how likely it is the same, and why.
A plain ASGI function: nothing here needs a framework.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crmops.config import Config
from crmops.errors import CrmopsError, UsageError
from crmops.history import History
from dq_checks.settings import Settings

LARGEST_BODY = 64 << 10
PATH = "/api/v1/duplicates/check"
LOOPBACK = ("127.0.0.1", "::1")
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Text = Annotated[str, Field(max_length=2000)]


class Question(BaseModel):
    """What a form asks.  ``except_id``: the record itself, when it is being changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    entity: str = Field(pattern="^(contact|lead|account)$")
    record: dict[Text, Text | None] = Field(min_length=1, max_length=200)
    limit: Annotated[int, Field(ge=1, le=50)] = 5
    except_id: str = ""


def create_app(config: Config, history: History) -> Callable[..., Awaitable[None]]:
    """The check as an ASGI application.  The stores are opened when they are first asked."""
    settings = config.parse("dq", Settings)
    token = settings.entry_token.reveal() if settings.entry_token else ""
    desk = _Desk(config.state_dir)

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        refused = _refusal(scope, token)
        if refused is not None:
            await _answer(send, *refused)
            return
        body = await _body(receive)
        if len(body) > LARGEST_BODY:
            await _answer(send, 413, {"error": f"a record has at most {LARGEST_BODY} bytes"})
            return
        await _answer(send, *await anyio.to_thread.run_sync(desk.answer, body))

    return application


def _refusal(scope: Mapping[str, Any], token: str) -> tuple[int, dict[str, str]] | None:
    """Who knows a token may ask; without one, whoever is on this machine."""
    if scope["path"] != PATH:
        return 404, {"error": f"there is only {PATH} here"}
    if scope["method"] != "POST":
        return 405, {"error": "only POST is understood here"}
    given = dict(scope["headers"]).get(b"authorization", b"")
    if token and not hmac.compare_digest(given, b"Bearer " + token.encode()):
        return 401, {"error": "the bearer token is missing or wrong"}
    client = (scope.get("client") or ("",))[0]
    if not token and client not in LOOPBACK:
        return 403, {"error": "without dq.entry_token only this machine may ask"}
    return None


class _Desk:
    """Where questions are answered: the kept records, opened once and again when they change."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._checker: Any = None

    def answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        try:
            question = Question.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(each) for each in first["loc"][:1]) or "body"
            return 400, {"error": f"no question about a record: {where}: {first['msg']}"}
        try:
            if self._checker is None:
                from dq_checks.duplicates.check import Checker

                self._checker = Checker(self._state_dir)
            return 200, self._checker.check(
                question.entity, question.record, question.limit, question.except_id
            )
        except UsageError as error:
            return 400, {"error": str(error), "hint": error.hint}
        except CrmopsError as error:
            return 503, {"error": str(error), "hint": error.hint}


async def _body(receive: Receive) -> bytes:
    parts, size = [], 0
    while size <= LARGEST_BODY:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body"):
            break
    return b"".join(parts)


async def _answer(send: Send, status: int, payload: dict[str, Any]) -> None:
    body = json.dumps(payload, ensure_ascii=False).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
