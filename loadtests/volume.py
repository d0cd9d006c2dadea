"""How much data the CRM holds: two runs can only be compared where it is about the same."""

from __future__ import annotations

from contextlib import suppress

import httpx

from crmops.connectors import connect
from crmops.connectors.base import Counts
from crmops.drivers import client, converse
from crmops.errors import CrmopsError, UsageError
from crmops.model import ENTITIES, PLURALS
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target

NOT_THERE = frozenset((Outcome.MISSING, Outcome.FORBIDDEN))
"""Answers that mean: this CRM has no such records, or not for this login."""


def look_at_volume(target: Target) -> tuple[dict[str, int], str]:
    """How many records of each entity the target's own login sees, or why that is not known.

    The run is worth the same without it: nothing is raised.
    """
    crm = connect(target)
    if not isinstance(crm, Counts):
        return {}, f"connector {target.connector} cannot count records"
    if not target.username or target.password is None:
        return {}, f"target {target.name} has no login of its own"
    try:
        with client(target) as http:
            converse(crm.login(target.username, target.password.reveal()), http)
            found = _counted(crm, http)
            with suppress(CallFailed):
                converse(crm.logout(), http)
            return found, "" if found else "this login may count nothing"
    except (CrmopsError, CallFailed) as problem:
        return {}, str(problem)


def _counted(crm: Counts, http: httpx.Client) -> dict[str, int]:
    found: dict[str, int] = {}
    for entity in ENTITIES:
        try:
            found[PLURALS[entity]] = converse(crm.count(entity), http)
        except UsageError:  # the profile leaves this entity out
            continue
        except CallFailed as problem:
            if problem.outcome not in NOT_THERE:
                raise
    return found
