"""How one call to a CRM ended: the words that every connector translates its dialect into."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a call ended.  A vendor code that nobody classified is ``server``, never ``ok``."""

    OK = "ok"
    THROTTLED = "throttled"
    INVALID = "invalid"
    AUTH = "auth"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    CONFLICT = "conflict"
    SERVER = "server"
    TRANSPORT = "transport"
    TIMEOUT = "timeout"


class CallFailed(Exception):
    """A call that did not end well, thrown into the generator that asked for it.

    ``code`` is the vendor's own, ``retry_after`` is in seconds, ``details`` is the parsed body.
    """

    def __init__(
        self,
        outcome: Outcome,
        message: str = "",
        *,
        status: int = 0,
        code: str = "",
        retry_after: float | None = None,
        details: object = None,
    ) -> None:
        super().__init__(message or outcome.value)
        self.outcome = outcome
        self.message = message
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.details = details


class ExpectationMissed(Exception):
    """A journey ended and what must be true there was not: a wrong answer is no answer."""
