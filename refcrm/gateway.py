"""What happens to every request around its handler: faults, log-in, limits, records, errors."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass

import asyncpg
from opentelemetry.trace import SpanContext
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from refcrm.call import Answer, Call, Handler, answer
from refcrm.database import UNAVAILABLE, spent, unavailable
from refcrm.errors import ApiError
from refcrm.services import Services
from refcrm.sessions import ANONYMOUS, Principal
from refcrm.trace import parse_traceparent

_log = logging.getLogger("refcrm")

_OUTCOMES = {400: "invalid", 401: "auth", 403: "forbidden", 404: "missing", 409: "conflict"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route as an ASGI application: handler plus the rules that hold for it.

    action: the word for it in the access log. public: needs no token (and is not limited).
    roles: who may call it at all; empty for everybody. An instance, unlike a function, is
    called by the router without a wrapper, which saves a tenth of a small request.
    """

    services: Services
    route: str
    handler: Handler
    action: str
    public: bool = False
    roles: tuple[str, ...] = ()
    logged: bool = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = time.perf_counter()
        authorization, parent = _headers(scope)
        method: str = scope["method"]
        span = self.services.tracer.start(method, self.route, parent)
        call = Call(self.services, scope, receive, self.action, scope["path_params"], ANONYMOUS)
        call.logged = self.logged
        statements: deque[float] = deque(maxlen=1000)
        spent.set(statements)
        status = 499
        try:
            reply = await self._reply(call, authorization)
            status = reply.status if isinstance(reply, Answer) else reply.status_code
            await _send(reply, scope, receive, send)
        finally:
            seconds = time.perf_counter() - begun
            self.services.metrics.count(method, self.route, status, seconds)
            self._note(call, status)
            attributes = _attributes(call) | {
                "refcrm.database_calls": len(statements),
                "refcrm.database_seconds": sum(statements),
            }
            name = f"{method} {self.route}"
            self.services.tracer.finish(span, parent, name, status, seconds, attributes)

    async def _reply(self, call: Call, authorization: str | None) -> Answer | Response:
        try:
            if self.services.faults.enabled and self.handler_is_faulty:
                await self.services.faults.before(call.scope["path"])
            if not self.public:
                call.principal = await self.services.sessions.recognise(authorization)
                self._admit(call.principal)
            return await self.handler(call)
        except ApiError as error:
            return refusal(error)
        except UNAVAILABLE as error:
            return refusal(unavailable(error))
        except asyncpg.PostgresError as error:
            return refusal(_refused_by_database(error))
        except Exception as error:
            # The text of an exception may hold a customer's data: only its kind and place.
            _log.error("%s failed: %s%s", self.route, type(error).__name__, _place(error))
            return refusal(ApiError(500, "internal", "the server failed"))

    @property
    def handler_is_faulty(self) -> bool:
        """Whether fault knobs apply: not to the knobs themselves."""
        return self.action != "faults"

    def _admit(self, who: Principal) -> None:
        wait = self.services.limiter.take(who.user_id)
        if wait:
            raise ApiError(
                429,
                "throttled",
                f"too many requests, try again in {wait} s",
                headers={"retry-after": str(wait)},
            )
        if self.roles and who.role not in self.roles:
            raise ApiError(403, "forbidden", f"role {who.role} may not do this")

    def _note(self, call: Call, status: int) -> None:
        if not call.logged:
            return
        outcome = "ok" if status < 400 else _OUTCOMES.get(status, "error")
        if status == 429:
            outcome = "throttled"
        who = call.principal
        user_id = None if who is ANONYMOUS else who.user_id
        entity = call.parameters.get("entity")
        self.services.access_log.add(
            user_id, self.action, entity and entity[:60], call.record_id, outcome
        )


def refusal(error: ApiError) -> Answer:
    """The reply to a refused request."""
    extra = (error.headers or {}).items()
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in extra]
    return answer(error.document(), error.status, headers)


def _headers(scope: Scope) -> tuple[str | None, SpanContext | None]:
    authorization, parent = None, None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"traceparent":
            parent = parse_traceparent(value)
    return authorization, parent


def _attributes(call: Call) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {"refcrm.action": call.action}
    if call.principal is not ANONYMOUS:
        found["refcrm.user_id"] = call.principal.user_id
    if call.record_id is not None:
        found["refcrm.record_id"] = call.record_id
    return found


async def _send(reply: Answer | Response, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(reply, Response):
        with contextlib.suppress(OSError):
            await reply(scope, receive, send)
        return
    length = b"%d" % len(reply.body)
    headers = [(b"content-length", length), *reply.headers]
    if reply.status == 204:
        headers = list(reply.headers)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _refused_by_database(error: asyncpg.PostgresError) -> ApiError:
    if isinstance(error, asyncpg.UniqueViolationError):
        return ApiError(409, "duplicate", "a unique field already has this value", duplicates=[])
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return ApiError(409, "in_use", "other records refer to it, or it refers to a missing one")
    _log.error("database refused a statement: %s", type(error).__name__)
    return ApiError(500, "internal", "the database refused the statement")


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
