"""Charts of a run as plain SVG: no script, no library, nothing from the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.buckets import MICROS, Buckets, middle

WIDTH, HEIGHT = 900, 220
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 26
COLUMNS = 180
"""Most columns of a heatmap; a longer run has several seconds in each."""

ROWS_PER_DECADE = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: ``values`` by second, None where there is nothing."""

    name: str
    kind: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where it is, and what it says."""

    at: float
    text: str


def line_chart(
    lines: Sequence[Line], seconds: Sequence[int], *, logarithmic: bool = False
) -> dict[str, Any]:
    """Polylines and axes of a chart, ready for the template."""
    values = [each for line in lines for each in line.values if each is not None]
    top = max(values, default=0.0) or 1.0
    bottom = min((each for each in values if each > 0), default=top / 10) if logarithmic else 0.0
    least = min([0.0, *values])  # what Prometheus is asked for may be negative
    even = (-_round_up(-least) if least else 0.0, _round_up(max(top, 0.0) or 1.0))
    low, high = _decades(bottom, top) if logarithmic else even
    end = max(seconds, default=0) + 1

    def place(second: float, value: float) -> str:
        return f"{_x(second, end):.1f},{_y(value, low, high, logarithmic):.1f}"

    drawn = []
    for line in lines:
        for part in _unbroken(seconds, line.values):
            points = " ".join(place(second + 0.5, value) for second, value in part)
            drawn.append({"kind": line.kind, "points": points})
    marks = _log_ticks(low, high) if logarithmic else [*([low] if low else []), *_even_ticks(high)]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "lines": drawn,
        "legend": [{"name": line.name, "kind": line.kind} for line in lines],
        "y": [Tick(_y(each, low, high, logarithmic), _number(each)) for each in marks],
        "x": [Tick(_x(each, end), f"{each:g}") for each in _even_ticks(end)],
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM,
        "top": TOP,
    }


def heatmap(seconds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many answers took how long, second by second: cells with a shade from 0 to 1."""
    width = max(math.ceil(len(seconds) / COLUMNS), 1)
    cells: dict[tuple[int, int], int] = {}
    for number, second in enumerate(seconds):
        for key, count in Buckets.unpack(tuple(second["response"])).counts.items():
            row = math.floor(math.log10(max(middle(key), 1)) * ROWS_PER_DECADE)
            at = (number // width, row)
            cells[at] = cells.get(at, 0) + count
    if not cells:
        return {"cells": [], "width": WIDTH, "height": HEIGHT, "y": [], "left": LEFT}
    rows = [row for _, row in cells]
    first, last = min(rows), max(rows) + 1
    columns = max(column for column, _ in cells) + 1
    wide, tall = (WIDTH - LEFT - RIGHT) / columns, (HEIGHT - TOP - BOTTOM) / (last - first)
    most = max(cells.values())
    drawn = [
        {
            "x": round(LEFT + column * wide, 1),
            "y": round(TOP + (last - 1 - row) * tall, 1),
            "w": round(wide + 0.2, 1),
            "h": round(tall + 0.2, 1),
            "shade": round(0.12 + 0.88 * math.log1p(count) / math.log1p(most), 3),
        }
        for (column, row), count in sorted(cells.items())
    ]
    marks = [
        Tick(TOP + (last - row) * tall, _number(10 ** (row / ROWS_PER_DECADE) / MICROS))
        for row in range(first, last + 1)
        if row % ROWS_PER_DECADE == 0
    ]
    return {"cells": drawn, "width": WIDTH, "height": HEIGHT, "y": marks, "left": LEFT}


def _unbroken(
    seconds: Sequence[int], values: Sequence[float | None]
) -> list[list[tuple[int, float]]]:
    """The stretches of a line between its gaps."""
    parts: list[list[tuple[int, float]]] = [[]]
    for second, value in zip(seconds, values, strict=True):
        if value is None:
            parts.append([])
        else:
            parts[-1].append((second, value))
    return [part for part in parts if part]


def _x(second: float, end: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * second / end


def _y(value: float, low: float, high: float, logarithmic: bool) -> float:
    if logarithmic:
        span = math.log10(high) - math.log10(low)
        share = (math.log10(max(value, low)) - math.log10(low)) / span
    else:
        share = (value - low) / (high - low)
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def _decades(bottom: float, top: float) -> tuple[float, float]:
    low = 10.0 ** math.floor(math.log10(bottom))
    high = 10.0 ** math.ceil(math.log10(top) + 1e-9)
    return low, max(high, low * 10)


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = round(math.log10(low)), round(math.log10(high))
    return [10.0**each for each in range(first, last + 1)]


def _even_ticks(high: float) -> list[float]:
    step = _round_up(high / 6)
    return [each * step for each in range(int(high / step + 1e-9) + 1)]


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 ... at or above a value."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(
        (power * each for each in (1, 2, 5, 10) if power * each >= value - 1e-12), power * 10
    )


def _number(value: float) -> str:
    return f"{value:g}"
