"""What a run has measured, put together from the deltas of its generators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from loadtests.buckets import Buckets
from loadtests.recording import Recording
from loadtests.schedule import PhaseClock

MAX_EXAMPLES = 3
MAX_KINDS = 50
MAX_SLOWEST = 20


@dataclass(slots=True)
class Second:
    """One second of the run, all generators together."""

    at: int
    phase: str
    present: dict[int, dict[str, int]] = field(default_factory=dict)
    logged_in: dict[int, int] = field(default_factory=dict)
    response: Buckets = field(default_factory=Buckets)
    outcomes: Counter[str] = field(default_factory=Counter)
    lag: Buckets = field(default_factory=Buckets)
    cpu: float = 0.0
    dropped: int = 0
    queued: int = 0

    @property
    def users(self) -> int:
        """People present."""
        return sum(sum(roles.values()) for roles in self.present.values())

    @property
    def roles(self) -> Counter[str]:
        """People present, by role."""
        found: Counter[str] = Counter()
        for roles in self.present.values():
            found.update(roles)
        return found

    @property
    def requests(self) -> int:
        """Requests answered or failed in this second."""
        return sum(self.outcomes.values())

    @property
    def failed(self) -> int:
        """Requests that failed in this second."""
        neutral = ("ok", "expected", "throttled")
        return self.requests - sum(self.outcomes[each] for each in neutral)


@dataclass(slots=True)
class PhaseHealth:
    """How the generators were in one phase: lag of all, CPU seconds over wall seconds of each."""

    lag: Buckets = field(default_factory=Buckets)
    cpu: dict[int, float] = field(default_factory=dict)
    wall: dict[int, float] = field(default_factory=dict)

    def busiest(self) -> float | None:
        """CPU of the busiest generator, as a share of one core; None if nothing was seen."""
        shares = [self.cpu[each] / wall for each, wall in self.wall.items() if wall > 0]
        return max(shares, default=None)


@dataclass(slots=True)
class Result:
    """Everything that a run has measured."""

    clock: PhaseClock
    response: Recording = field(default_factory=Recording)
    service: Recording = field(default_factory=Recording)
    wait: Recording = field(default_factory=Recording)
    journeys: Recording = field(default_factory=Recording)
    seconds: dict[int, Second] = field(default_factory=dict)
    health: dict[str, PhaseHealth] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    slowest: list[dict[str, Any]] = field(default_factory=list)
    rss: dict[int, int] = field(default_factory=dict)
    descriptors: dict[int, int] = field(default_factory=dict)
    descriptor_limit: int = 0
    clock_step: float = 0.0
    elapsed: float = 0.0
    stopped_on_breach: str = ""
    spans_problem: str = ""
    volume: dict[str, int] = field(default_factory=dict)
    volume_problem: str = ""
    incidents: list[str] = field(default_factory=list)
    lost: str = ""
    hint: str = ""
    killed_by_switch: str = ""

    def take(self, worker: int, delta: dict[str, Any]) -> Second:
        """Add one delta of one generator; returns the second that it belongs to."""
        at = float(delta["at"])
        self.elapsed = max(self.elapsed, at)
        second = self._second(at)
        response = Recording.unpack(delta["response"])
        self.response.merge(response)
        self.service.merge(Recording.unpack(delta["service"]))
        self.wait.merge(Recording.unpack(delta["wait"]))
        self.journeys.merge(Recording.unpack(delta["journeys"]))
        second.response.merge(response.answered())
        second.outcomes.update(response.outcomes())
        second.present[worker] = delta["present"]
        second.logged_in[worker] = delta["logged_in"]
        second.queued += delta["queued"]
        second.dropped += delta["counts"].get("dropped", 0)
        self.counts.update(delta["counts"])
        self._keep(delta)
        self._health(worker, second, delta["health"])
        return second

    def _second(self, at: float) -> Second:
        number = max(round(at) - 1, 0)
        if number not in self.seconds:
            self.seconds[number] = Second(number, self.clock.at(number + 0.5))
        return self.seconds[number]

    def _health(self, worker: int, second: Second, health: dict[str, Any]) -> None:
        lag = Buckets.unpack(health["lag"])
        second.lag.merge(lag)
        phase = self.health.setdefault(second.phase, PhaseHealth())
        phase.lag.merge(lag)
        phase.cpu[worker] = phase.cpu.get(worker, 0.0) + health["cpu"]
        phase.wall[worker] = phase.wall.get(worker, 0.0) + health["wall"]
        second.cpu = max(second.cpu, health["cpu"] / max(health["wall"], 1e-6))
        self.rss[worker] = max(self.rss.get(worker, 0), health["rss"])
        self.descriptors[worker] = max(self.descriptors.get(worker, 0), health["descriptors"])
        self.descriptor_limit = health["descriptor_limit"]
        if abs(health["clock_step"]) > abs(self.clock_step):
            self.clock_step = health["clock_step"]

    def _keep(self, delta: dict[str, Any]) -> None:
        for example in delta["examples"]:
            kind = f"{example['operation']} {example['outcome']}"
            if kind in self.examples or len(self.examples) < MAX_KINDS:
                kept = self.examples.setdefault(kind, [])
                kept.extend([example] if len(kept) < MAX_EXAMPLES else [])
        self.slowest += [{**each, "at": delta["at"]} for each in delta["slowest"]]
        self.slowest.sort(key=lambda each: -float(each["seconds"]))
        del self.slowest[MAX_SLOWEST:]

    def timeline(self) -> list[Second]:
        """The seconds in order."""
        return [self.seconds[at] for at in sorted(self.seconds)]

    def peak(self) -> int:
        """The most people present at once."""
        return max((each.users for each in self.seconds.values()), default=0)

    def recent(self, span: float) -> list[Second]:
        """The seconds of the last ``span`` seconds."""
        first = self.elapsed - span
        return [each for each in self.timeline() if each.at + 1 > first]
