"""The history as metric families, built afresh at each scrape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from crmops import __version__
from crmops.errors import HistoryError
from crmops.history import Histogram, History
from crmops.record import Kind, Run, Verdict
from exporter.catalogue import CATALOGUE, Metric
from exporter.settings import Expected

Samples = dict[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """A configured probe, exported from the start even if it never ran."""

    target: str
    journey: str
    limit: float


@dataclass(eq=False)
class Collector:
    """Reads the history once a scrape.  A prometheus_client collector (``collect``)."""

    history: History
    probes: Sequence[ProbePlan] = ()
    expected: Sequence[Expected] = ()
    _values: dict[str, Samples] = field(default_factory=dict)
    _shapes: dict[str, list[tuple[tuple[str, ...], Histogram]]] = field(default_factory=dict)

    def collect(self) -> Iterator[Family]:
        """Every family that has something to say now."""
        self._values, self._shapes = {}, {}
        self._set("crm_exporter_info", (__version__,), 1)
        try:
            self._read()
            self._set("crm_history_up", (), 1)
        except HistoryError:
            self._values = {"crm_exporter_info": {(__version__,): 1}, "crm_history_up": {(): 0}}
            self._shapes = {}
        for metric in CATALOGUE:
            yield from self._family(metric)

    # -- reading -------------------------------------------------------------------------------

    def _read(self) -> None:
        for probe in self.probes:
            self._set("crm_probe_limit_seconds", (probe.target, probe.journey), probe.limit)
            for result in Verdict:
                self._set("crm_probe_runs_total", (probe.target, probe.journey, result), 0)
        for wanted in self.expected:
            key = (wanted.kind.value, wanted.target, wanted.subject)
            self._set("crm_run_last_success_timestamp_seconds", key, 0)
            self._set("crm_run_last_ended_timestamp_seconds", key, 0)
        subjects = self._totals()
        self._histograms()
        self._open()
        for kind, target, subject in sorted(subjects):
            self._newest(kind, target, subject)

    def _totals(self) -> set[tuple[Kind, str, str]]:
        subjects = set()
        for total in self.history.totals():
            key = (total.kind.value, total.target, total.subject)
            ended = total.last_ended.timestamp()
            self._set("crm_runs_total", (*key, total.verdict), total.runs)
            self._most("crm_run_last_ended_timestamp_seconds", key, ended)
            passed = ended if total.verdict is Verdict.PASS else 0
            self._most("crm_run_last_success_timestamp_seconds", key, passed)
            if total.kind is Kind.PROBE:
                labels = (total.target, total.subject, total.verdict)
                self._set("crm_probe_runs_total", labels, total.runs)
            subjects.add((total.kind, total.target, total.subject))
        return subjects

    def _histograms(self) -> None:
        for each in self.history.histograms():
            labels: tuple[str, ...] = (each.target, each.subject)
            if each.measure == "duration":
                self._shapes.setdefault("crm_probe_duration_seconds", []).append((labels, each))
            elif each.measure.startswith("step."):
                step = (*labels, each.measure.removeprefix("step."))
                self._shapes.setdefault("crm_probe_step_duration_seconds", []).append((step, each))

    def _open(self) -> None:
        for live in self.history.live():
            key = (live.run.kind.value, live.run.target)
            count = self._values.get("crm_runs_open", {}).get(key, 0)
            self._set("crm_runs_open", key, count + 1)
            if live.run.kind is Kind.LOAD:
                self._live_load(live.run, {m.name: m.value for m in live.measures})

    def _live_load(self, run: Run, found: Mapping[str, float | None]) -> None:
        labels = (run.target, run.subject)
        for measure, name in _LIVE_LOAD.items():
            self._known(name, labels, found.get(measure))

    def _newest(self, kind: Kind, target: str, subject: str) -> None:
        reader = _READERS.get(kind)
        if reader is None:
            return
        run = self.history.latest(kind, target, subject)
        if run is not None:
            for name, labels, value in reader(run):
                self._known(name, labels, value)

    # -- keeping -------------------------------------------------------------------------------

    def _set(self, name: str, labels: tuple[str, ...], value: float) -> None:
        self._values.setdefault(name, {})[tuple(map(str, labels))] = value

    def _most(self, name: str, labels: tuple[str, ...], value: float) -> None:
        before = self._values.get(name, {}).get(tuple(map(str, labels)), 0)
        self._set(name, labels, max(before, value))

    def _known(self, name: str, labels: tuple[str, ...], value: float | None) -> None:
        if value is not None and math.isfinite(value):
            self._set(name, labels, value)

    # -- showing -------------------------------------------------------------------------------

    def _family(self, metric: Metric) -> Iterator[Family]:
        if metric.type == "histogram":
            shapes = self._shapes.get(metric.name)
            if shapes:
                yield _histogram(metric, shapes)
            return
        samples = self._values.get(metric.name)
        if not samples:
            return
        if metric.type == "counter":
            counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in sorted(samples.items()):
                counter.add_metric(labels, value)
            yield counter
        else:
            gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in sorted(samples.items()):
                gauge.add_metric(labels, value)
            yield gauge


def _histogram(
    metric: Metric, shapes: Iterable[tuple[tuple[str, ...], Histogram]]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, histogram in shapes:
        running, buckets = 0, []
        for bound, count in sorted(histogram.counts.items()):
            running += count
            buckets.append(("+Inf" if math.isinf(bound) else f"{bound:g}", running))
        family.add_metric(labels, buckets=buckets, sum_value=histogram.seconds)
    return family


Reading = Iterator[tuple[str, tuple[str, ...], float | None]]


def _value(run: Run, name: str) -> float | None:
    found = run.measure(name)
    return found.value if found else None


def _read_dq(run: Run) -> Reading:
    suite = (run.target, run.subject)
    for measure in run.measures:
        if measure.name == "score":
            yield "crm_dq_score_ratio", (*suite, "overall"), measure.value
        elif measure.name.startswith("score{"):
            dimension = measure.name.removeprefix("score{").removesuffix("}")
            yield "crm_dq_score_ratio", (*suite, dimension), measure.value
        elif measure.name.startswith("rules."):
            yield "crm_dq_rules", (*suite, measure.name.removeprefix("rules.")), measure.value
    yield "crm_dq_rows", suite, _value(run, "rows")


def _read_backup(run: Run) -> Reading:
    if run.verdict is Verdict.PASS:
        yield "crm_backup_size_bytes", (run.target,), _value(run, "size")
        yield "crm_backup_duration_seconds", (run.target,), _value(run, "duration")


def _read_drill(run: Run) -> Reading:
    yield "crm_drill_rto_seconds", (run.target,), _value(run, "rto")
    yield "crm_drill_rpo_seconds", (run.target,), _value(run, "rpo")


def _read_load(run: Run) -> Reading:
    for quantile, name in (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")):
        labels = (run.target, run.subject, quantile)
        yield "crm_load_response_time_seconds", labels, _value(run, f"response_time.{name}")


def _read_gate(run: Run) -> Reading:
    for verdict in Verdict:
        yield "crm_gate_verdict", (run.target, run.subject, verdict), float(run.verdict is verdict)


_READERS = {
    Kind.DQ: _read_dq,
    Kind.BACKUP: _read_backup,
    Kind.DRILL: _read_drill,
    Kind.LOAD: _read_load,
    Kind.GATE: _read_gate,
}
_LIVE_LOAD = {
    "users": "crm_load_users",
    "request.rate": "crm_load_request_rate",
    "error.ratio": "crm_load_error_ratio",
}
