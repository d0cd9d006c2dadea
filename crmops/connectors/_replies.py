"""What connectors share in reading replies: status to outcome, retry-after, safe looks inside.

A look into a reply never lets a KeyError or ValueError out: an answer of another shape than the
dialect promises is a problem of the server, and is raised as one.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any, Final

from crmops.outcome import CallFailed, Outcome
from crmops.wire import Reply

STATUSES: Final[dict[int, Outcome]] = {
    401: Outcome.AUTH,
    403: Outcome.FORBIDDEN,
    404: Outcome.MISSING,
    408: Outcome.TIMEOUT,
    409: Outcome.CONFLICT,
    410: Outcome.MISSING,
    412: Outcome.CONFLICT,
    429: Outcome.THROTTLED,
    504: Outcome.TIMEOUT,
}
"""What a status means when the dialect says nothing better."""

UNREADABLE: Final = "unreadable"
"""Code of a good status with an answer that is not what the dialect promises."""


def outcome_of(status: int) -> Outcome:
    """The outcome of a status by itself.  A redirect or an odd number is ``server``, never ok."""
    if status in STATUSES:
        return STATUSES[status]
    if 200 <= status < 300:
        return Outcome.OK
    return Outcome.INVALID if 400 <= status < 500 else Outcome.SERVER


def is_web_page(reply: Reply) -> bool:
    """Whether the answer is HTML: a maintenance page or a login form in place of the API."""
    return reply.headers.get("content-type", "").startswith("text/html")


def web_page(reply: Reply) -> CallFailed:
    """The problem that a web page with a good status stands for."""
    return CallFailed(
        Outcome.SERVER, "a web page in place of an answer", status=reply.status, code="web_page"
    )


def retry_after(reply: Reply, header: str = "retry-after") -> float | None:
    """Seconds to wait, from a number or an HTTP date (counted from the reply's own Date header).

    None without the header, or when it says nothing that can be understood.
    """
    text = reply.headers.get(header, "").strip()
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(reply.headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return None


def json_of(reply: Reply) -> Any:
    """The body as JSON.  Raises CallFailed(server) if it is not."""
    try:
        return reply.json()
    except ValueError as error:
        raise unreadable(reply, "an answer that is not JSON") from error


def json_or_none(reply: Reply) -> Any:
    """The body as JSON, or None: for error answers, which may have any body."""
    try:
        return reply.json() if reply.body else None
    except ValueError:
        return None


def mapping(value: object, reply: Reply, what: str) -> dict[str, Any]:
    """``value`` if it is an object.  Raises CallFailed(server) otherwise."""
    if not isinstance(value, dict):
        raise unreadable(reply, f"an answer without {what}")
    return value


def sequence(value: object, reply: Reply, what: str) -> list[Any]:
    """``value`` if it is an array.  Raises CallFailed(server) otherwise."""
    if not isinstance(value, list):
        raise unreadable(reply, f"an answer without {what}")
    return value


def text(value: object, reply: Reply, what: str) -> str:
    """``value`` as text if it is a non-empty text or a number (ids).  Raises CallFailed(server)."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise unreadable(reply, f"an answer without {what}")
    return str(value)


def count(value: object, reply: Reply, what: str) -> int:
    """``value`` if it is a whole number.  Raises CallFailed(server) otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise unreadable(reply, f"an answer without {what}")
    return value


def unreadable(reply: Reply, message: str) -> CallFailed:
    """The problem of a good status with a body of another shape."""
    return CallFailed(Outcome.SERVER, message, status=reply.status, code=UNREADABLE)
