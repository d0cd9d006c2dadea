"""What a journey is: what a person does in a CRM, as a generator over a connector.

The same journey is load scenario, synthetic probe, access check and the smoke test of a restored
copy.  It does no I/O, keeps no clock and never sleeps: it yields Steps, Thinks and Calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from crmops.connectors.base import Connector, Talk


@dataclass(frozen=True, slots=True)
class Habits:
    """What a person looks at; the default, for probes, is the newest records of all, evenly.

    ``skew`` is the exponent of Zipf's law over a list (0: even, 1: the top record twice as often
    as the second).  ``own`` and ``team`` are shares of the looks that ask for one's own records
    and for the team's; the rest asks for anybody's.  ``stray`` is the share of searches before
    which something was typed that finds nothing, or far too much.  ``batch`` is the median number
    of rows of a list that they import.  ``deep`` is how often somebody who has read a page of a
    list turns to the next.
    """

    skew: float = 0.0
    own: float = 0.0
    team: float = 0.0
    stray: float = 0.0
    batch: int = 10
    deep: float = 0.0


@dataclass(slots=True)
class Person:
    """Who walks the journey.  ``tag`` marks what they create; ``rng`` is theirs alone.

    ``created`` collects (entity, id) of everything made, so that it can be removed afterwards.
    """

    username: str
    password: str
    role: str = "rep"
    tag: str = ""
    rng: random.Random = field(default_factory=random.Random)
    logged_in: bool = False
    created: list[tuple[str, str]] = field(default_factory=list)
    habits: Habits = Habits()


Walk: TypeAlias = Callable[[Connector, Person], Talk[Any]]


@dataclass(frozen=True, slots=True)
class Journey:
    """A named walk.  ``steps`` are the names it may announce; ``writes`` says if it leaves traces.

    ``needs`` names the extra Protocols of the connector (``Converts``, ``Reports`` ...);
    ``roles`` are those for whom it is ordinary work, and ``weight`` how often they do it.
    A journey other than ``login`` may assume that the person is logged in.
    """

    name: str
    summary: str
    steps: tuple[str, ...]
    walk: Walk
    roles: tuple[str, ...] = ("rep",)
    needs: tuple[type, ...] = ()
    writes: bool = False
    weight: float = 1.0
