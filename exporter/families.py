"""Samples as Prometheus' metric families, in the order of the catalogue."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from crmops.history import Histogram
from exporter.catalogue import CATALOGUE, Metric

Labels = tuple[str, ...]


@dataclass(slots=True)
class Samples:
    """What one scrape has to say: values of gauges and counters, and histograms, by metric."""

    values: dict[str, dict[Labels, float]] = field(default_factory=dict)
    shapes: dict[str, dict[Labels, Histogram]] = field(default_factory=dict)

    def set(self, name: str, labels: Iterable[object], value: float) -> None:
        """A value; it replaces one of the same labels."""
        self.values.setdefault(name, {})[tuple(map(str, labels))] = value

    def add(self, name: str, labels: Iterable[object], value: float) -> None:
        """A value on top of what is there."""
        key = tuple(map(str, labels))
        self.set(name, key, self.values.get(name, {}).get(key, 0) + value)

    def most(self, name: str, labels: Iterable[object], value: float) -> None:
        """The greater of a value and what is there."""
        key = tuple(map(str, labels))
        self.set(name, key, max(self.values.get(name, {}).get(key, value), value))

    def known(self, name: str, labels: Iterable[object], value: float | None) -> None:
        """A value, if there is one: what is unknown has no series."""
        if value is not None and math.isfinite(value):
            self.set(name, labels, value)

    def families(self) -> Iterator[Family]:
        """Every family that has something to say."""
        for metric in CATALOGUE:
            if metric.type == "histogram":
                if shapes := self.shapes.get(metric.name):
                    yield _histogram(metric, shapes)
            elif values := self.values.get(metric.name):
                yield _plain(metric, values)


def _plain(metric: Metric, values: dict[Labels, float]) -> Family:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, shapes: dict[Labels, Histogram]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, histogram in sorted(shapes.items()):
        running, buckets = 0, []
        for bound, count in sorted(histogram.counts.items()):
            running += count
            buckets.append(("+Inf" if math.isinf(bound) else repr(float(bound)), running))
        family.add_metric(labels, buckets=buckets, sum_value=histogram.seconds)
    return family
