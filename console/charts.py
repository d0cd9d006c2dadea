"""Small pictures, drawn as SVG on the server: no script, no style but the page's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 720, 150
LEFT, RIGHT, TOP, BOTTOM = 78, 12, 12, 22
BAR, GAP, STRIP = 7, 1, 26


@dataclass(frozen=True, slots=True)
class Point:
    """One value in time: ``look`` is a class of the style sheet, ``says`` what a pointer reads."""

    value: float
    look: str = ""
    says: str = ""


def line(points: Sequence[Point], label: str, ends: tuple[str, str], show: Show) -> Markup:
    """A line through values from old to new; ``ends`` stand below its first and last point."""
    if not points:
        return Markup("")
    low, high = _span([each.value for each in points])
    across = (WIDTH - LEFT - RIGHT) / max(len(points) - 1, 1)
    places = [
        (LEFT + number * across, _height(each.value, low, high))
        for number, each in enumerate(points)
    ]
    if len(places) == 1:
        places = [((LEFT + WIDTH - RIGHT) / 2, places[0][1])]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = Markup("").join(
        Markup('<circle class="dot {}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>').format(
            each.look, f"{x:.1f}", f"{y:.1f}", each.says
        )
        for each, (x, y) in zip(points, places, strict=True)
        if each.look
    )
    marks = Markup("").join(
        _mark(value, low, high, show) for value in (low, (low + high) / 2, high)
    )
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<polyline points="{}"/>{}<text x="{}" y="{}">{}</text>'
        '<text class="end" x="{}" y="{}">{}</text></svg>'
    ).format(
        WIDTH, HEIGHT, label, marks, path, dots,
        LEFT, HEIGHT - 4, ends[0], WIDTH - RIGHT, HEIGHT - 4, ends[1],
    )  # fmt: skip


def strip(points: Sequence[Point], label: str, room: int) -> Markup:
    """A row of bars from old to new, one look each; the newest stands at the right end."""
    width = room * (BAR + GAP)
    first = room - len(points)
    bars = Markup("").join(
        Markup('<rect class="bar {}" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>')
        .format(each.look, (first + number) * (BAR + GAP), BAR, STRIP, each.says)
        for number, each in enumerate(points)
    )  # fmt: skip
    return Markup(
        '<svg class="strip" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(width, STRIP, label, bars)


Show = Callable[[float], str]


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From 0 where that wastes little room, so that heights compare; never empty."""
    low, high = min(values), max(values)
    if low >= 0 and low < high * 0.7:
        low = 0.0
    if high - low < abs(high) * 0.02 or high == low:
        pad = abs(high) * 0.05 or 1.0
        low, high = low - pad, high + pad
    return low, high


def _height(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))


def _mark(value: float, low: float, high: float, show: Show) -> Markup:
    y = f"{_height(value, low, high):.1f}"
    return Markup(
        '<line x1="{}" x2="{}" y1="{}" y2="{}"/><text class="end" x="{}" y="{}" dy="4">{}</text>'
    ).format(LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y, show(value))
