"""A run's own metrics, fresh every second: what the generators have counted so far."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from crmops import __version__
from crmops.errors import CannotRun
from crmops.record import Verdict
from loadtests.buckets import MICROS, Buckets, merged, middle
from loadtests.live import Live
from loadtests.recording import ANSWERED, Recording

BOUNDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    1.5,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Upper bounds in seconds of the histogram's buckets."""


class Metric(NamedTuple):
    """One metric family."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str


CATALOGUE = (
    Metric("crm_load_run_info", "gauge", ("run", "target", "workload", "version"),
           "What is running; always 1."),
    Metric("crm_load_run_elapsed_seconds", "gauge", (), "Seconds since the load began."),
    Metric("crm_load_run_users", "gauge", ("role",), "People at work now."),
    Metric("crm_load_run_intended_total", "counter", (),
           "Moments at which something was meant to be sent: ends of think times, arrivals."),
    Metric("crm_load_run_sent_on_time_total", "counter", (), "Of these, those kept within 0.1 s."),
    Metric("crm_load_run_requests_total", "counter", ("request", "outcome"),
           "Requests that were sent, by how they ended."),
    Metric("crm_load_run_journeys_total", "counter", ("journey", "outcome"),
           "Journeys by how they ended."),
    Metric("crm_load_run_dropped_total", "counter", (),
           "Arrivals that nobody took up in time (open model)."),
    Metric("crm_load_run_held_total", "counter", (),
           "Requests held back to keep the target's max_rate."),
    Metric("crm_load_run_request_duration_seconds", "histogram", ("request",),
           "Response time of answered requests; in the open model from the intended start."),
    Metric("crm_load_run_loop_lag_seconds", "gauge", (),
           "How late the generator's event loop wakes: p99 over the last five seconds."),
    Metric("crm_load_run_verdict", "gauge", ("verdict",),
           "1 for the verdict that the numbers so far would give, 0 for the others."),
)  # fmt: skip
"""Every metric of a run's own endpoint; docs/metrics.md lists the same.  Labels are words of the
configuration, the workload and the code: no person, no record and no address.
"""

_BY_NAME = {each.name: each for each in CATALOGUE}
_PREFIX = "crm_load_run_"
Rows = Mapping[tuple[str, ...], float]


class Board:
    """Shows the newest look at a run to scrapers.  A prometheus_client collector.

    A look is taken apart where it is shown, in the thread that counts; a scrape reads what is
    ready, so that neither waits for the other.
    """

    def __init__(self, target: str, workload: str) -> None:
        self._what = (target, workload)
        self._families: tuple[Family, ...] = ()

    def show(self, live: Live) -> None:
        """Take over the newest look."""
        self._families = tuple(self._made(live))

    def collect(self) -> Iterator[Family]:
        """What was shown last."""
        yield from self._families

    def _made(self, live: Live) -> Iterator[Family]:
        counts = live.result.counts
        standing = live.judgement.verdict
        yield _plain("info", {(live.run, *self._what, __version__): 1})
        yield _plain("elapsed_seconds", {(): live.at})
        yield _plain("users", {(role,): count for role, count in live.roles.items()})
        yield _plain("intended_total", {(): live.scheduled})
        yield _plain("sent_on_time_total", {(): live.on_time})
        yield _plain("requests_total", _ended(live.result.response))
        yield _plain("journeys_total", _ended(live.result.journeys))
        yield _plain("dropped_total", {(): live.dropped})
        yield _plain("held_total", {(): counts["held"]})
        yield _durations(live.result.response)
        if live.lag is not None:
            yield _plain("loop_lag_seconds", {(): live.lag})
        yield _plain("verdict", {(each.value,): float(each is standing) for each in Verdict})


def _plain(name: str, rows: Rows) -> Family:
    metric = _BY_NAME[_PREFIX + name]
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in sorted(rows.items()):
        family.add_metric(labels, value)
    return family


def _ended(recording: Recording) -> Rows:
    found: dict[tuple[str, ...], float] = {}
    for key, cell in recording.cells.items():
        at = (key.operation, key.outcome)
        found[at] = found.get(at, 0) + cell.count
    return found


def _durations(recording: Recording) -> Family:
    metric = _BY_NAME[_PREFIX + "request_duration_seconds"]
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    parts: dict[str, list[Buckets]] = {}
    for key, cell in sorted(recording.cells.items()):
        if key.outcome in ANSWERED:
            parts.setdefault(key.operation, []).append(cell)
    for operation, cells in parts.items():
        whole = merged(cells)
        family.add_metric((operation,), cumulative(whole), sum_value=whole.total / MICROS)
    return family


def cumulative(buckets: Buckets) -> list[tuple[str, float]]:
    """How many durations do not exceed each bound.  Each counts by the middle of its bucket."""
    counts = [0] * (len(BOUNDS) + 1)
    for key, count in buckets.counts.items():
        counts[bisect_left(BOUNDS, middle(key) / MICROS)] += count
    found, running = [], 0
    for bound, count in zip((*map(repr, BOUNDS), "+Inf"), counts, strict=True):
        running += count
        found.append((bound, float(running)))
    return found


def registry_of(board: Board) -> CollectorRegistry:
    """A registry with nothing but the board."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(board)
    return registry


@contextmanager
def served(board: Board, host: str, port: int) -> Iterator[str]:
    """Answer scrapes in a thread while the body runs; yields the address.

    Port 0 is any free one.  Raises CannotRun if the port cannot be had.
    """
    try:
        server, thread = start_http_server(port, host, registry_of(board))
    except OSError as error:
        raise CannotRun(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
            hint="Choose another port with --metrics-port; 0 is any free one.",
        ) from None
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
