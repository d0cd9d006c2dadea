"""What a generator process counts, and hands over once a second."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from loadtests.recording import Recording

MAX_EXAMPLES = 3
MAX_SLOWEST = 5


@dataclass(slots=True)
class Books:
    """Everything since the last hand-over.

    ``response`` counts from the intended start, ``service`` from the sending, ``wait`` between
    the two (both only where they can differ); ``journeys`` counts whole journeys.
    """

    response: Recording = field(default_factory=Recording)
    service: Recording = field(default_factory=Recording)
    wait: Recording = field(default_factory=Recording)
    journeys: Recording = field(default_factory=Recording)
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    slowest: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0

    def example(self, operation: str, outcome: str, **details: Any) -> None:
        """Keep a failure as an example, if there are few of its kind."""
        kept = self.examples.setdefault(f"{operation} {outcome}", [])
        if len(kept) < MAX_EXAMPLES:
            kept.append({"operation": operation, "outcome": outcome, **details})

    def is_slow(self, seconds: float) -> bool:
        """Whether a request is among the slowest of this second."""
        return len(self.slowest) < MAX_SLOWEST or seconds > self.slowest[-1]["seconds"]

    def slow(self, seconds: float, operation: str, trace: str) -> None:
        """Keep a request that is among the slowest."""
        self.slowest.append({"seconds": round(seconds, 6), "operation": operation, "trace": trace})
        self.slowest.sort(key=lambda each: -float(each["seconds"]))
        del self.slowest[MAX_SLOWEST:]

    def hand_over(self) -> dict[str, Any]:
        """Everything since the last time as plain data, leaving nothing behind."""
        handed = {
            "response": self.response.take().pack(),
            "service": self.service.take().pack(),
            "wait": self.wait.take().pack(),
            "journeys": self.journeys.take().pack(),
            "counts": dict(self.counts),
            "examples": [each for kept in self.examples.values() for each in kept],
            "slowest": self.slowest,
        }
        self.counts, self.examples, self.slowest = Counter(), {}, []
        return handed
