"""Counters for GET /metrics, in Prometheus's text format.

Hand-made because a request touches them on the hot path: one dictionary look-up here against
four locked objects in a general client library. Labels come from route templates and status
codes only, so the number of series is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping

_BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Gauges = Mapping[str, tuple[str, str, Callable[[], float]]]
"""name -> (counter or gauge, help, reader); names without the prefix."""


class Metrics:
    """What the process did so far."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[tuple[str, str], list[float]] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One finished request; route is the template, never the address itself."""
        key = (method, route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        series = self._seconds.get((method, route))
        if series is None:
            series = self._seconds[(method, route)] = [0.0] * (len(_BOUNDS) + 2)
        series[bisect_left(_BOUNDS, seconds)] += 1
        series[-1] += seconds

    def render(self, gauges: Gauges) -> str:
        """The exposition, ending in a newline."""
        lines = [
            "# HELP refcrm_http_requests_total Requests by route and status.",
            "# TYPE refcrm_http_requests_total counter",
        ]
        for (method, route, status), number in sorted(self._requests.items()):
            labels = f'method="{method}",route="{route}",status="{status}"'
            lines.append(f"refcrm_http_requests_total{{{labels}}} {number}")
        lines += [
            "# HELP refcrm_http_request_duration_seconds Time to answer, faults included.",
            "# TYPE refcrm_http_request_duration_seconds histogram",
        ]
        for (method, route), series in sorted(self._seconds.items()):
            lines += _histogram(f'method="{method}",route="{route}"', series)
        for name, (kind, text, read) in gauges.items():
            lines += [
                f"# HELP refcrm_{name} {text}",
                f"# TYPE refcrm_{name} {kind}",
                f"refcrm_{name} {read():.15g}",
            ]
        return "\n".join(lines) + "\n"


def _histogram(labels: str, series: list[float]) -> list[str]:
    name = "refcrm_http_request_duration_seconds"
    lines = []
    total = 0
    for bound, number in zip((*_BOUNDS, "+Inf"), series, strict=False):
        total += int(number)
        lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {total}')
    lines.append(f"{name}_sum{{{labels}}} {series[-1]:.9f}")
    lines.append(f"{name}_count{{{labels}}} {total}")
    return lines
