"""What a server can be told at its start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are seconds. rate and burst are requests of one user; rate 0 is no limit.

    trace_ratio: share of requests without a traceparent that get a span. slow_seconds: from
    here on a request is kept in the span ring even when it is not sampled.
    """

    database_url: str
    host: str = "127.0.0.1"
    port: int = 0
    faults: bool = False
    rate: float = 200.0
    burst: float = 400.0
    token_seconds: int = 8 * 3600
    connections: int = 10
    trace_ratio: float = 0.01
    slow_seconds: float = 1.0
