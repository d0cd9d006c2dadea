"""What a reply stands for under a profile: the vendor's code first, then the status."""

from __future__ import annotations

from typing import Any

from crmops.connectors._profile_parts import Errors
from crmops.connectors._replies import (
    is_web_page,
    json_or_none,
    outcome_of,
    retry_after,
    web_page,
)
from crmops.connectors._template import look
from crmops.outcome import CallFailed, Outcome
from crmops.wire import Reply


def classify(errors: Errors, reply: Reply) -> CallFailed | None:
    """The problem, or None if all is well.

    The body of a good status is looked into only when the profile says that it may carry a bad
    code; a code there that nobody classified is the server's problem, never ok.
    """
    outcome = errors.statuses.get(reply.status) or outcome_of(reply.status)
    if outcome is Outcome.OK and is_web_page(reply):
        return web_page(reply)
    if outcome is Outcome.OK and not errors.in_every_answer:
        return None
    body = json_or_none(reply)
    code = _code(errors, body)
    if outcome is Outcome.OK and (not code or code in errors.good):
        return None
    unclassified = Outcome.SERVER if outcome is Outcome.OK else outcome
    outcome = errors.codes.get(code, unclassified)
    return None if outcome is Outcome.OK else _problem(errors, reply, outcome, code, body)


def _code(errors: Errors, body: Any) -> str:
    found = look(body, errors.code) if errors.code is not None else None
    return "" if found is None or isinstance(found, (dict, list)) else str(found)


def _problem(errors: Errors, reply: Reply, outcome: Outcome, code: str, body: Any) -> CallFailed:
    message = look(body, errors.message) if errors.message is not None else None
    return CallFailed(
        outcome,
        str(message or f"status {reply.status}"),
        status=reply.status,
        code=code,
        retry_after=_retry_after(errors, reply, body),
        details=look(body, errors.details),
    )


def _retry_after(errors: Errors, reply: Reply, body: Any) -> float | None:
    source = errors.retry_after
    if source.at is None:
        return retry_after(reply, source.header.lower())
    found = look(body, source.at)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    return max(0.0, found / 1000 if source.unit == "milliseconds" else float(found))
