"""What was measured: durations by operation, role, phase and outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from loadtests.buckets import Buckets, merged

OK: Final = "ok"
EXPECTED: Final = "expected"
THROTTLED: Final = "throttled"

ANSWERED: Final = frozenset((OK, EXPECTED))
"""Outcomes whose durations are response times: the CRM did what it was asked, or said the "no"
that the journey waited for (a duplicate hit).  Throttled is neither failure nor success."""

NEUTRAL: Final = ANSWERED | {THROTTLED}


class Key(NamedTuple):
    """What a duration belongs to.  All four are bounded words, never data."""

    operation: str
    role: str
    phase: str
    outcome: str


class Recording:
    """Buckets by key.  Recordings of several seconds or processes merge without loss."""

    __slots__ = ("cells",)

    def __init__(self) -> None:
        self.cells: dict[Key, Buckets] = {}

    def add(self, key: tuple[str, str, str, str], micros: int) -> None:
        """Count one duration; ``key`` is a Key or its four words (which are quicker to make)."""
        cell = self.cells.get(key)  # type: ignore[call-overload]
        if cell is None:
            cell = self.cells[Key(*key)] = Buckets()
        cell.add(micros)

    def take(self) -> Recording:
        """Everything since the last time, leaving nothing behind."""
        taken = Recording()
        taken.cells, self.cells = self.cells, {}
        return taken

    def merge(self, other: Recording) -> None:
        """Add another's counts."""
        for key, buckets in other.cells.items():
            mine = self.cells.get(key)
            if mine is None:
                mine = self.cells[key] = Buckets()
            mine.merge(buckets)

    def where(self, wanted: Callable[[Key], bool]) -> Recording:
        """The part whose keys fit; shares its buckets with this one."""
        part = Recording()
        part.cells = {key: cell for key, cell in self.cells.items() if wanted(key)}
        return part

    def answered(self) -> Buckets:
        """The response times: ok, and the answers a journey waited for."""
        return merged(cell for key, cell in self.cells.items() if key.outcome in ANSWERED)

    def counted(self, outcomes: Iterable[str] | None = None) -> int:
        """How many, of some outcomes or of all."""
        chosen = None if outcomes is None else frozenset(outcomes)
        cells = self.cells.items()
        return sum(cell.count for key, cell in cells if chosen is None or key.outcome in chosen)

    def failed(self) -> int:
        """How many failed: neither answered nor throttled."""
        return self.counted() - self.counted(NEUTRAL)

    def operations(self) -> list[str]:
        """The operations seen, in order of name."""
        return sorted({key.operation for key in self.cells})

    def outcomes(self) -> dict[str, int]:
        """Counts by outcome."""
        found: dict[str, int] = {}
        for key, cell in sorted(self.cells.items()):
            found[key.outcome] = found.get(key.outcome, 0) + cell.count
        return found

    def pack(self) -> list[list[Any]]:
        """Plain lists for JSON."""
        return [[*key, *cell.pack()] for key, cell in sorted(self.cells.items())]

    @classmethod
    def unpack(cls, rows: list[list[Any]]) -> Recording:
        """The recording that :meth:`pack` wrote."""
        found = cls()
        for operation, role, phase, outcome, *packed in rows:
            total, smallest, largest, flat = packed
            key = Key(operation, role, phase, outcome)
            found.cells[key] = Buckets.unpack((total, smallest, largest, flat))
        return found
