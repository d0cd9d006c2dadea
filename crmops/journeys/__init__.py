"""The journeys, one file each, found by themselves."""

from __future__ import annotations

import difflib
import functools

from crmops.errors import UsageError
from crmops.journeys.base import Journey
from crmops.registry import discover


def journeys() -> dict[str, Journey]:
    """Every journey by name."""
    return dict(_found())


@functools.cache
def _found() -> dict[str, Journey]:
    """Found once: a look round costs more than a thousand calls."""
    return discover("crmops.journeys", "JOURNEY", "crmops.journeys")


def journey(name: str) -> Journey:
    """The journey of that name.  Raises UsageError with the nearest name."""
    known = journeys()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"there is no journey {name!r}",
            hint=f"{hint}Known: {', '.join(sorted(known))}.",
        )
    return known[name]
