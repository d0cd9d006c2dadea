"""One person's session: what every call is signed with, and one new login when it has run out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote

from crmops.connectors.base import Connector, Talk, ask
from crmops.errors import UsageError
from crmops.model import PLURALS
from crmops.outcome import CallFailed
from crmops.wire import Call, Reply


class Renewable(Connector, Protocol):
    """A connector that can log in again by itself."""

    def has_expired(self, problem: CallFailed) -> bool:
        """Whether the problem is a session that ran out and that can be begun anew."""

    def renew(self) -> Talk[None]:
        """Log in again with the credentials of the last login."""


def ask_signed(crm: Renewable, call: Call) -> Talk[Reply]:
    """Send a call under the person's session; if that has run out, log in again, once.

    A refused call did nothing, so repeating it is safe for writes too.
    """
    try:
        return (yield from ask(crm, signed(call, crm.auth_headers())))
    except CallFailed as problem:
        if not crm.has_expired(problem):
            raise
    yield from crm.renew()
    return (yield from ask(crm, signed(call, crm.auth_headers())))


def signed(call: Call, headers: Mapping[str, str]) -> Call:
    """The call with more headers; its own win."""
    both = {**headers, **call.headers}
    return Call(call.method, call.path, call.name, both, call.body, call.idempotent)


def segment(value: str) -> str:
    """A value as one segment of a path: it can neither end the segment nor climb out of it."""
    quoted = quote(value, safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def plural_of(entity: str) -> str:
    """The plural of a neutral entity.  Raises UsageError with the nearest name."""
    if entity in PLURALS:
        return PLURALS[entity]
    near = difflib.get_close_matches(entity, PLURALS, 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"there is no entity {entity!r}", hint=f"{hint}Known: {', '.join(sorted(PLURALS))}."
    )
