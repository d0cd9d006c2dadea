"""How far a share that was sampled can be trusted."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""The 97.5 % point of the normal distribution: two-sided 95 %."""


def wilson(good: int, seen: int) -> tuple[float, float] | None:
    """The 95 % confidence interval of a share, ``good`` of ``seen``; None when nothing was seen.

    Wilson's score interval (E. B. Wilson, 1927): it stays within 0 to 1 and has a width also
    when all or none were good.
    """
    if seen <= 0:
        return None
    share, square = good / seen, Z_95 * Z_95
    middle = share + square / (2 * seen)
    half = Z_95 * math.sqrt(share * (1 - share) / seen + square / (4 * seen * seen))
    whole = 1 + square / seen
    return max((middle - half) / whole, 0.0), min((middle + half) / whole, 1.0)
