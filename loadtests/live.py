"""How a load test is going, for whoever watches: terminal, history, metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from crmops.record import Measure, Unit, Verdict
from crmops.verdict import Judgement, Objective
from loadtests.buckets import merged
from loadtests.result import Result
from loadtests.settings import Settings
from loadtests.standing import standing
from loadtests.workload import Workload

LIVE_SPAN = 5.0
"""Seconds that the live measures look back."""


class Demands(Protocol):
    """What a run is judged by."""

    @property
    def workload(self) -> Workload:
        """Its phases say what is judged."""

    @property
    def settings(self) -> Settings:
        """When the instrument is believed."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the measures must be."""


@dataclass(frozen=True, slots=True)
class Live:
    """How the run is going, for whoever watches."""

    run: str
    at: float
    seconds: float
    phase: str
    users: int
    rate: float
    p95: float | None
    error_ratio: float | None
    requests: int
    failed: int
    lag: float | None
    dropped: int
    outcomes: Mapping[str, int]
    roles: Mapping[str, int]
    scheduled: int
    on_time: int
    judgement: Judgement
    result: Result


Watch = Callable[[Live], None]


def look(result: Result, demands: Demands, run: str) -> Live:
    """How it has been going in the last seconds, and how the run stands."""
    workload, settings = demands.workload, demands.settings
    recent = result.recent(LIVE_SPAN)
    requests = sum(each.requests for each in recent)
    failed = sum(each.failed for each in recent)
    everything = result.response.counted()
    return Live(
        run=run,
        at=result.elapsed,
        seconds=workload.seconds,
        phase=result.clock.at(result.elapsed),
        users=recent[-1].users if recent else 0,
        rate=requests / len(recent) if recent else 0.0,
        p95=merged(each.response for each in recent).percentile(0.95),
        error_ratio=failed / requests if requests else None,
        requests=everything,
        failed=result.response.failed(),
        lag=merged(each.lag for each in recent).percentile(0.99),
        dropped=result.counts["dropped"],
        outcomes=result.response.outcomes(),
        roles=recent[-1].roles if recent else {},
        scheduled=result.counts["scheduled"],
        on_time=result.counts["on_time"],
        judgement=standing(result, workload, demands.objectives, settings),
        result=result,
    )


def live_measures(live: Live) -> list[Measure]:
    """The live numbers as the exporter reads them: those of the last seconds, and since the
    beginning how many calls ended how; how many people of each role are there; how the run stands.
    """
    numbers = (
        ("users", float(live.users), Unit.COUNT),
        ("request.rate", live.rate, Unit.COUNT),
        ("response_time.p95", live.p95, Unit.SECONDS),
        ("error.ratio", live.error_ratio, Unit.RATIO),
        ("instrument.loop_lag.p99", live.lag, Unit.SECONDS),
        ("dropped", float(live.dropped), Unit.COUNT),
        ("scheduled", float(live.scheduled), Unit.COUNT),
        ("on_time", float(live.on_time), Unit.COUNT),
        *_each("calls", live.outcomes),
        *_each("users", live.roles),
        *_each("verdict", {each.value: each is live.judgement.verdict for each in Verdict}),
    )
    return [
        Measure(name=name, value=value, unit=unit, observed=live.requests)
        for name, value, unit in numbers
    ]


def _each(name: str, counts: Mapping[str, int]) -> list[tuple[str, float, Unit]]:
    return [
        (f"{name}{{{label}}}", float(count), Unit.COUNT) for label, count in sorted(counts.items())
    ]
