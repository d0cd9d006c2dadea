"""The connectors, one file each, found by themselves."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable

from crmops.connectors.base import Connector
from crmops.errors import ConfigError
from crmops.registry import discover
from crmops.target import Target


def connectors() -> dict[str, Callable[[Target], Connector]]:
    """Every connector by name."""
    return dict(_found())


@functools.cache
def _found() -> dict[str, Callable[[Target], Connector]]:
    """Found once: a look round costs more than a thousand calls."""
    return discover("crmops.connectors", "CONNECTOR", "crmops.connectors")


def connect(target: Target) -> Connector:
    """A connector for one person on a target.  Raises ConfigError for an unknown kind."""
    known = connectors()
    if target.connector not in known:
        near = difflib.get_close_matches(target.connector, known, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"target {target.name!r} wants connector {target.connector!r}, which does not exist",
            hint=f"{hint}Allowed: {', '.join(sorted(known))}.",
        )
    return known[target.connector](target)
