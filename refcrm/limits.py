"""Rate limits: one token bucket a user."""

from __future__ import annotations

import math
import time

_MOST_BUCKETS = 100_000


class RateLimiter:
    """Allows ``rate`` requests a second per key on average and ``burst`` at once; 0 is no limit."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._buckets: dict[int, tuple[float, float]] = {}

    def take(self, key: int) -> int:
        """0 when the request may pass, else the whole seconds to wait before trying again."""
        if self.rate <= 0:
            return 0
        now = time.monotonic()
        left, seen = self._buckets.get(key, (self.burst, now))
        left = min(self.burst, left + (now - seen) * self.rate)
        if left < 1.0:
            self._buckets[key] = (left, now)
            return max(1, math.ceil((1.0 - left) / self.rate))
        if len(self._buckets) >= _MOST_BUCKETS:
            self._buckets.clear()
        self._buckets[key] = (left - 1.0, now)
        return 0
