"""Alertmanager's webhook: every change of an alert becomes a Run.

Fired and resolved are two Runs, ``fail`` and ``pass``: the newest one is the alert's state.  Their
ids are made of what happened, so a notification that comes twice is stored once.  A plain ASGI
function: nothing here needs a framework.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from alerts.settings import Settings
from crmops import __version__
from crmops.config import Config
from crmops.errors import HistoryError
from crmops.history import History
from crmops.record import Finding, Kind, Measure, Run, Unit, Verdict, ulid, utc_now

log = logging.getLogger("crmops.alerts")

LARGEST_BODY = 1 << 20
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class _Alert(BaseModel):
    """One alert of a notification; Alertmanager's webhook format 4, what we need of it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: str = Field(pattern="^(firing|resolved)$")
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    ends_at: AwareDatetime | None = Field(default=None, alias="endsAt")
    fingerprint: str = ""


class _Notification(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    alerts: tuple[_Alert, ...]


def create_app(config: Config, history: History) -> Callable[..., Awaitable[None]]:
    """The receiver as an ASGI application for ``POST /api/v1/alerts``."""
    settings = config.parse("alerts", Settings)
    token = settings.receiver_token.reveal() if settings.receiver_token else ""
    default = config.default_target

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _answer(send, 405, {"error": "only POST is understood here"})
        elif token and not _authorised(scope, token):
            await _answer(send, 401, {"error": "the bearer token is missing or wrong"})
        else:
            status, answer = await _accept(await _body(receive), history, default)
            await _answer(send, status, answer)

    return application


def _authorised(scope: dict[str, Any], token: str) -> bool:
    given = dict(scope["headers"]).get(b"authorization", b"")
    return hmac.compare_digest(given, b"Bearer " + token.encode())


async def _body(receive: Receive) -> bytes:
    parts, size = [], 0
    while size <= LARGEST_BODY:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body"):
            break
    return b"".join(parts)


async def _accept(body: bytes, history: History, default: str) -> tuple[int, dict[str, Any]]:
    if len(body) > LARGEST_BODY:
        return 413, {"error": f"a notification has at most {LARGEST_BODY} bytes"}
    try:
        notification = _Notification.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(each) for each in first["loc"])
        return 400, {"error": f"no notification of Alertmanager: {where or 'body'}: {first['msg']}"}
    try:
        stored = await anyio.to_thread.run_sync(_store, notification, history, default)
    except HistoryError as error:
        log.warning("an alert could not be stored: %s", error)
        return 503, {"error": str(error)}  # Alertmanager tries again after a 5xx
    return 200, {"stored": stored}


def _store(notification: _Notification, history: History, default: str) -> int:
    stored = 0
    for alert in notification.alerts:
        run = alert_run(alert, default, utc_now())
        if history.get(run.id) is None:
            history.record(run)
            stored += 1
    return stored


def alert_run(alert: _Alert, default_target: str, received: datetime) -> Run:
    """The Run of one change.  ``ended`` is when we heard of it."""
    firing = alert.status == "firing"
    labels = ",".join(f"{key}={alert.labels[key]}" for key in sorted(alert.labels))
    happened = f"{alert.status} {alert.starts_at.isoformat()} {labels}"
    moment = alert.starts_at if firing or alert.ends_at is None else alert.ends_at
    digest = hashlib.sha256(happened.encode()).digest()
    name = alert.labels.get("alertname", "unnamed")
    summary = alert.annotations.get("summary", name)
    lasted = (received - alert.starts_at).total_seconds()
    return Run(
        id=ulid(moment.timestamp(), digest[:10]),
        kind=Kind.ALERT,
        target=alert.labels.get("target", default_target),
        subject=name,
        begun=min(alert.starts_at, received),
        ended=received.astimezone(UTC),
        verdict=Verdict.FAIL if firing else Verdict.PASS,
        reason=f"{'firing' if firing else 'resolved'}: {summary}",
        measures=(
            Measure(name="firing", value=float(firing), unit=Unit.COUNT, observed=1),
            Measure(name="lasted", value=max(lasted, 0.0), unit=Unit.SECONDS, observed=1),
        ),
        findings=(
            Finding(title=summary, detail=labels, severity="critical" if firing else "info"),
        ),
        tool_versions={"crmops": __version__},
    )


async def _answer(send: Send, status: int, payload: dict[str, Any]) -> None:
    body = json.dumps(payload).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
