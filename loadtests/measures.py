"""The numbers of a run, by the names that gates and the console know.  docs/load-testing.md
describes each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from crmops.errors import ConfigError
from crmops.record import Measure, Unit
from loadtests.buckets import merged
from loadtests.recording import THROTTLED, Key, Recording
from loadtests.result import Result
from loadtests.workload import Workload

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}
TIMES = ("response_time", "service_time", "queue_wait")
RATIOS = ("error.ratio", "throttled.ratio")
SCALARS = (
    "request.rate", "users", "dropped.ratio", "journey.failed.ratio",
    "instrument.loop_lag.p99", "instrument.cpu.ratio", "instrument.sent.ratio",
    "instrument.held", "instrument.rss", "data.created", "data.left", "data.lost",
)  # fmt: skip
_SELECTOR = re.compile(r"(?P<stem>[a-z0-9_.]+)(?:\{(?P<inside>[^{}]*)\})?")
_LABELS = ("operation", "role", "phase")


def known_so_far(name: str) -> bool:
    """Whether a measure says something while the run goes on.  ``users`` and ``request.rate`` are
    short of what they will be, and what became of the data is only looked at afterwards.
    """
    stem, _ = split(name)
    so_far = (*RATIOS, "journey.failed.ratio")
    return stem in so_far or stem.partition(".")[0] in TIMES


def stems() -> list[str]:
    """Every measure's name, without a selector."""
    stats = [*PERCENTILES, "max", "mean"]
    return [*(f"{time}.{stat}" for time in TIMES for stat in stats), *RATIOS, *SCALARS]


def split(name: str) -> tuple[str, dict[str, str]]:
    """A measure's name as its stem and its selector.

    ``response_time.p95{contacts.get}`` selects an operation, ``{role=sales_rep}`` and
    ``{contacts.get,phase=workday}`` other things.  Raises ConfigError for anything else.
    """
    match = _SELECTOR.fullmatch(name)
    if match is None or match["stem"] not in stems():
        raise ConfigError(
            f"there is no measure {name!r} in a load test",
            hint=f"Measures: {'|'.join(TIMES)}.{'|'.join((*PERCENTILES, 'max', 'mean'))}, "
            f"{', '.join((*RATIOS, *SCALARS))}.",
        )
    chosen: dict[str, str] = {}
    for part in (match["inside"] or "").split(","):
        label, found, value = part.strip().rpartition("=")
        label = label if found else "operation"
        if match["inside"] is not None and (label not in _LABELS or not value):
            raise ConfigError(
                f"the selector of measure {name!r} cannot be understood",
                hint="Write {contacts.get}, {role=sales_rep}, {phase=workday} or several of them.",
            )
        if value:
            chosen[label] = value
    return match["stem"], chosen


class Measures:
    """Takes the measures of a result; phases that are not judged count only when named."""

    def __init__(self, result: Result, workload: Workload) -> None:
        self._result, self._workload = result, workload
        self._judged = {phase.name for phase in workload.phases if phase.judged}

    def all(self, wanted: Iterable[str] = ()) -> list[Measure]:
        """The standard measures, and those of the names wanted besides."""
        found = {each.name: each for each in self._standard()}
        for name in wanted:
            if name not in found:
                found[name] = self.one(name)
        return list(found.values())

    def one(self, name: str) -> Measure:
        """One measure of a recording.  Raises ConfigError for a name that is none."""
        stem, chosen = split(name)
        time, _, statistic = stem.partition(".")
        if time in TIMES:
            return self._time(name, time, statistic, chosen)
        if stem in RATIOS:
            return self._ratio(name, stem, self._part(self._result.response, chosen))
        if stem == "journey.failed.ratio":
            return self._journeys(name, chosen)
        return Measure(name=name, value=None, unit=Unit.COUNT)

    def _standard(self) -> Iterator[Measure]:
        for stat in ("p50", "p90", "p95", "p99", "max"):
            yield self.one(f"response_time.{stat}")
        if self._result.service.cells:
            for name in ("service_time.p95", "queue_wait.p95", "queue_wait.max"):
                yield self.one(name)
        for name in (*RATIOS, "journey.failed.ratio"):
            yield self.one(name)
        yield from self._load()
        yield from self.instrument()
        for operation in self._result.response.operations():
            for stem in ("response_time.p95", "error.ratio"):
                yield self.one(f"{stem}{{{operation}}}")
        for phase in sorted(self._judged):
            yield self.one(f"response_time.p95{{phase={phase}}}")

    def _load(self) -> Iterator[Measure]:
        result = self._result
        total = self._part(result.response, {}).counted()
        seconds = sum(1 for each in result.seconds.values() if each.phase in self._judged)
        yield Measure(
            name="request.rate",
            value=total / seconds if seconds else None,
            unit=Unit.COUNT,
            observed=total,
        )
        yield Measure(name="users", value=result.peak(), unit=Unit.COUNT, observed=result.peak())
        arrivals = result.counts["arrivals"]
        if arrivals:
            dropped = result.counts["dropped"] / arrivals
            yield Measure(name="dropped.ratio", value=dropped, unit=Unit.RATIO, observed=arrivals)

    def instrument(self) -> Iterator[Measure]:
        """How the generators themselves were in the phases that are judged."""
        result = self._result
        phases = [health for name, health in result.health.items() if name in self._judged]
        lag = merged(each.lag for each in phases)
        busiest = [each.busiest() for each in phases]
        cpu = max((each for each in busiest if each is not None), default=None)
        scheduled = result.counts["scheduled"]
        sent = result.counts["on_time"] / scheduled if scheduled else None
        numbers = (
            ("instrument.loop_lag.p99", lag.percentile(0.99), Unit.SECONDS, lag.count),
            ("instrument.cpu.ratio", cpu, Unit.RATIO, len(result.seconds)),
            ("instrument.sent.ratio", sent, Unit.RATIO, scheduled),
            ("instrument.held", result.counts["held"], Unit.COUNT, len(result.seconds)),
            ("instrument.rss", sum(result.rss.values()), Unit.BYTES, len(result.rss)),
        )
        for name, value, unit, observed in numbers:
            yield Measure(name=name, value=value, unit=unit, observed=observed)

    def _time(self, name: str, time: str, statistic: str, chosen: dict[str, str]) -> Measure:
        result = self._result
        source = {"service_time": result.service, "queue_wait": result.wait}.get(
            time, result.response
        )
        if time == "service_time" and not source.cells:
            source = result.response  # closed model: a call is sent when it is meant to be
        buckets = self._part(source, chosen).answered()
        special: dict[str, Callable[[], float | None]] = {
            "max": buckets.maximum,
            "mean": buckets.mean,
        }
        take = special.get(statistic) or (lambda: buckets.percentile(PERCENTILES[statistic]))
        return Measure(name=name, value=take(), unit=Unit.SECONDS, observed=buckets.count)

    def _ratio(self, name: str, stem: str, part: Recording) -> Measure:
        total = part.counted()
        number = part.failed() if stem == "error.ratio" else part.counted((THROTTLED,))
        value = number / total if total else None
        return Measure(name=name, value=value, unit=Unit.RATIO, observed=total)

    def _journeys(self, name: str, chosen: dict[str, str]) -> Measure:
        part = self._part(self._result.journeys, chosen)
        total = part.counted() - part.counted((THROTTLED,))
        value = part.failed() / total if total else None
        return Measure(name=name, value=value, unit=Unit.RATIO, observed=total)

    def _part(self, recording: Recording, chosen: dict[str, str]) -> Recording:
        return judged_part(recording, self._workload, chosen)


def judged_part(recording: Recording, workload: Workload, chosen: dict[str, str]) -> Recording:
    """What a selector chooses; phases that are not judged only where it names one."""
    judged = {phase.name for phase in workload.phases if phase.judged}

    def fits(key: Key) -> bool:
        if "phase" not in chosen and key.phase not in judged:
            return False
        return all(getattr(key, label) == value for label, value in chosen.items())

    return recording.where(fits)
