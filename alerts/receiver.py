"""Alertmanager's webhook: every change of an alert becomes a Run.

Fired and resolved are two Runs, ``fail`` and ``pass``: the newest one is the alert's state.  An
alert of severity ``none`` is the other way round: it fires as long as alerting works.  Their ids
are made of what happened, so a notification that comes twice is stored once.  A plain ASGI
function: nothing here needs a framework.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
LONGEST_TEXT = 2000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
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


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where notifications end: the history, and the targets that an alert may be about."""

    history: History
    default: str
    targets: Collection[str]


def create_app(config: Config, history: History) -> Callable[..., Awaitable[None]]:
    """The receiver as an ASGI application for ``POST /api/v1/alerts``."""
    settings = config.parse("alerts", Settings)
    token = settings.receiver_token.reveal() if settings.receiver_token else ""
    desk = _Desk(history, config.default_target, frozenset(config.targets))

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _answer(send, 405, {"error": "only POST is understood here"})
        elif token and not _authorised(scope, token):
            await _answer(send, 401, {"error": "the bearer token is missing or wrong"})
        else:
            status, answer = await _accept(await _body(receive), desk)
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


async def _accept(body: bytes, desk: _Desk) -> tuple[int, dict[str, Any]]:
    if len(body) > LARGEST_BODY:
        return 413, {"error": f"a notification has at most {LARGEST_BODY} bytes"}
    try:
        notification = _Notification.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(each) for each in first["loc"])
        return 400, {"error": f"no notification of Alertmanager: {where or 'body'}: {first['msg']}"}
    try:
        stored = await anyio.to_thread.run_sync(_store, notification, desk)
    except HistoryError as error:
        log.warning("an alert could not be stored: %s", error)
        return 503, {"error": "the history cannot be written now"}  # so it is sent again
    return 200, {"stored": stored}


def _store(notification: _Notification, desk: _Desk) -> int:
    stored = 0
    for alert in notification.alerts:
        run = alert_run(alert, desk, utc_now())
        if desk.history.get(run.id) is None:
            desk.history.record(run)
            stored += 1
    return stored


def alert_run(alert: _Alert, desk: _Desk, received: datetime) -> Run:
    """The Run of one change.  ``ended`` is when we heard of it.

    Targets that are not configured and odd names would make metrics without end, so they are
    told apart only in the finding.
    """
    firing = alert.status == "firing"
    bad = firing is not (alert.labels.get("severity") == "none")
    named = alert.labels.get("alertname", "")
    name = named if _NAME.fullmatch(named) else "unnamed"
    target = alert.labels.get("target", "")
    summary = alert.annotations.get("summary", name)[:LONGEST_TEXT]
    labels = _labels(alert)[:LONGEST_TEXT]
    lasted = (received - alert.starts_at).total_seconds()
    return Run(
        id=_id(alert),
        kind=Kind.ALERT,
        target=target if target in desk.targets else desk.default,
        subject=name,
        begun=min(alert.starts_at, received),
        ended=received.astimezone(UTC),
        verdict=Verdict.FAIL if bad else Verdict.PASS,
        reason=f"{'firing' if firing else 'resolved'}: {summary}",
        measures=(
            Measure(name="firing", value=float(firing), unit=Unit.COUNT, observed=1),
            Measure(name="lasted", value=max(lasted, 0.0), unit=Unit.SECONDS, observed=1),
        ),
        findings=(Finding(title=summary, detail=labels, severity="critical" if bad else "info"),),
        tool_versions={"crmops": __version__},
    )


def _id(alert: _Alert) -> str:
    """Of what happened and when, so that the same notification has the same id every time."""
    moment = alert.starts_at
    if alert.status == "resolved":  # both begin at the same time; the end must be the newer
        moment = max(alert.ends_at or moment, moment + timedelta(milliseconds=1))
    happened = f"{alert.status} {alert.starts_at.isoformat()} {_labels(alert)}"
    return ulid(moment.timestamp(), hashlib.sha256(happened.encode()).digest()[:10])


def _labels(alert: _Alert) -> str:
    return ",".join(f"{key}={alert.labels[key]}" for key in sorted(alert.labels))


async def _answer(send: Send, status: int, payload: dict[str, Any]) -> None:
    body = json.dumps(payload).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
