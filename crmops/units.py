"""Times and sizes as people write them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?")


def parse_duration(value: object) -> object:
    """Seconds of ``30``, ``1.5``, ``30s``, ``10m``, ``26h``, ``92d``; other values pass through.

    Raises ValueError for text that is no duration.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no duration; write 30s, 10m, 26h or 92d")
    return float(match[1]) * _UNITS[match[2] or "s"]


_Written = float | Annotated[str, Field(pattern=f"^{_DURATION.pattern}$")]

Seconds = Annotated[
    float, BeforeValidator(parse_duration, json_schema_input_type=_Written), Field(ge=0)
]
"""A duration in seconds; in a file also written as 30s, 10m, 26h, 92d."""


def human_seconds(value: float) -> str:
    """A duration for people: 850 ms, 12.3 s, 4 min 05 s, 3 h 20 min, 12 d 4 h."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def human_value(value: float | None, unit: str) -> str:
    """A measured value with its unit, short enough for a table."""
    if value is None:
        return "-"
    if unit == "seconds":
        return human_seconds(value)
    if unit == "ratio":
        return f"{value * 100:.2f} %"
    if unit == "bytes":
        return _human_bytes(value)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _human_bytes(value: float) -> str:
    for name in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {name}" if name == "B" else f"{value:.1f} {name}"
        value /= 1024
    return f"{value:.1f} TiB"
