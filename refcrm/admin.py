"""Logging in and out, and what operators look at: health, metrics, access log, spans, faults."""

from __future__ import annotations

import asyncio
import ipaddress

from starlette.responses import Response

from refcrm import paging
from refcrm.call import NO_CONTENT, Answer, Call, answer
from refcrm.errors import ApiError, forbidden, invalid, missing
from refcrm.metrics import Gauges
from refcrm.sql import Arguments
from refcrm.validate import to_time

_ENTRIES = 10_000


async def login(call: Call) -> Answer:
    """POST /api/v1/login."""
    body = await call.json()
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object of username and password")
    reasons = {
        name: "must be text"
        for name in ("username", "password")
        if not isinstance(body.get(name), str) or "\0" in body[name]
    }
    if reasons:
        raise invalid("username and password are needed", reasons)
    token, seconds, who = await call.services.sessions.login(body["username"], body["password"])
    call.principal = who
    return answer({"token": token, "expires_in": seconds, "user": who.document()})


async def logout(call: Call) -> Answer:
    """POST /api/v1/logout."""
    await call.services.sessions.logout(call.header(b"authorization"))
    return NO_CONTENT


async def who_am_i(call: Call) -> Answer:
    """GET /api/v1/me."""
    return answer(call.principal.document())


async def access_log(call: Call) -> Answer:
    """GET /api/v1/access-log?since=: newest first; everything noted so far is included."""
    limit = call.limit(100, _ENTRIES)
    arguments = Arguments()
    where = ""
    if "since" in call.query:
        since = to_time(call.query["since"])
        if since is None:
            raise invalid("the time does not fit", {"since": "must be an ISO 8601 time"})
        where = f" and at >= {arguments.bind(since)}"
    last = paging.before_id(call.query.get("cursor"))
    if last is not None:
        where += f" and id < {arguments.bind(last)}"
    await call.services.access_log.flush()
    rows = await call.services.database.fetch(
        "select id::text as id, at, user_id::text as user_id, action, entity, "
        f"record_id::text as record_id, outcome from access_log where true{where} "
        f"order by access_log.id desc limit {arguments.bind(limit + 1)}",
        arguments.values,
    )
    shown, more = paging.cut(rows, limit)
    following = paging.encode(int(shown[-1]["id"])) if more else None
    return answer({"records": shown, "next": following})


async def spans(call: Call) -> Answer:
    """GET /api/v1/spans?trace_id=&slower_than=: the newest spans in memory."""
    limit = call.limit(100, 1000)
    try:
        slower_than = float(call.query.get("slower_than", "0"))
    except ValueError:
        raise invalid("slower_than does not fit", {"slower_than": "must be seconds"}) from None
    trace_id = call.query.get("trace_id")
    return answer({"spans": call.services.tracer.ring.find(trace_id, slower_than, limit)})


async def health(call: Call) -> Answer:
    """GET /healthz: 200 while the database answers within two seconds, else 503."""
    try:
        await asyncio.wait_for(call.services.database.row("select 1"), 2)
    except (ApiError, TimeoutError):
        return answer({"status": "fail", "database": "unavailable"}, 503)
    return answer({"status": "ok", "database": "ok"})


async def metrics(call: Call) -> Response:
    """GET /metrics."""
    services = call.services
    pool = services.database.pool
    log = services.access_log
    gauges: Gauges = {
        "access_log_written_total": ("counter", "Access log entries stored.", lambda: log.written),
        "access_log_lost_total": ("counter", "Access log entries given up.", lambda: log.lost),
        "access_log_waiting": ("gauge", "Access log entries in memory.", lambda: log.waiting),
        "database_connections": ("gauge", "Connections of the pool.", pool.get_size),
        "database_connections_idle": ("gauge", "Connections not in use.", pool.get_idle_size),
    }
    return Response(
        services.metrics.render(gauges), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


async def show_faults(call: Call) -> Answer:
    """GET /_faults."""
    await _may_use_faults(call)
    return answer(call.services.faults.knobs.document())


async def change_faults(call: Call) -> Answer:
    """PUT /_faults: turn the knobs named in the body, leave the others."""
    await _may_use_faults(call)
    body = await call.json()
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object of fault knobs")
    await call.services.faults.change(body)
    return answer(call.services.faults.knobs.document())


async def clear_faults(call: Call) -> Answer:
    """DELETE /_faults: all knobs off."""
    await _may_use_faults(call)
    await call.services.faults.clear()
    return NO_CONTENT


async def _may_use_faults(call: Call) -> None:
    if not call.services.faults.enabled:
        raise missing("the page")
    authorization = call.header(b"authorization")
    if authorization is None:
        client = call.scope.get("client")
        if client is not None and ipaddress.ip_address(client[0]).is_loopback:
            return
    call.principal = await call.services.sessions.recognise(authorization)
    if call.principal.role != "admin":
        raise forbidden("only an administrator may use faults")
