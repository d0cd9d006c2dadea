"""What a search leaves behind: its numbers, and one HTML file that asks the network for nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crmops.record import Run
from loadtests.capacity.attempts import Attempts
from loadtests.capacity.estimate import Estimate
from loadtests.capacity.search import Search
from loadtests.capacity.usl import Law

FORMAT = 1
WIDTH, HEIGHT = 900, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 30
CURVE = 80


def document(run: Run, search: Search, found: Estimate, attempts: Attempts) -> dict[str, Any]:
    """Everything about a search as plain data.  Holds no login and no record."""
    return {
        "format": FORMAT,
        "run": {
            "id": run.id,
            "target": run.target,
            "subject": run.subject,
            "begun": run.begun.isoformat(),
            "verdict": run.verdict.value,
            "reason": run.reason,
        },
        "workload": attempts.workload.model_dump(mode="json"),
        "objectives": [each.model_dump(mode="json") for each in attempts.settings.objectives],
        "rules": asdict(search.rules),
        "step_seconds": attempts.seconds,
        "ended": search.ended.value if search.ended else "",
        "users": found.users,
        "low": found.low,
        "high": found.high,
        "sure": found.sure,
        "gave_way_first": list(found.first),
        "gave_way_at": found.first_at,
        "law": _law(found),
        "steps": [asdict(each) for each in search.steps],
    }


def _law(found: Estimate) -> dict[str, Any] | None:
    law = found.law
    if law is None:
        return None
    return {
        "rate": law.rate,
        "sigma": law.sigma,
        "kappa": law.kappa,
        "relative_error": law.error,
        "knee": law.knee,
        "knee_error": found.knee_error,
        "peak": law.peak,
        "ceiling": law.ceiling,
    }


def render(made: dict[str, Any]) -> str:
    """The report of a search's document."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    law = made["law"]
    curve = Law(law["rate"], law["sigma"], law["kappa"]).throughput if law else None
    plots = (
        ("Requests answered a second", plot(made, "throughput", curve)),
        ("Response time p95, seconds", plot(made, "p95")),
    )
    return environment.get_template("report.html.j2").render(made=made, plots=plots)


def plot(
    made: dict[str, Any], what: str, curve: Callable[[float], float] | None = None
) -> dict[str, Any]:
    """A plot of a number over people: a mark for each step, the law's curve, the capacity."""
    steps = [each for each in made["steps"] if each[what] is not None]
    people: float = max([each["users"] for each in made["steps"]] or [1]) * 1.05
    drawn = [] if curve is None else _curve(curve, people)
    top: float = max([each[what] for each in steps] + [value for _, value in drawn] or [1.0]) or 1.0

    def x(users: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(users / people, 1.0), 1)

    def y(value: float) -> float:
        share = float(value / (top * 1.05))
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
        "marks": [
            {"x": x(each["users"]), "y": y(each[what]), "kind": each["outcome"].split()[0]}
            for each in steps
        ],
        "curve": " ".join(f"{x(users)},{y(value)}" for users, value in drawn),
        "band": [x(made["low"]), x(made["high"] or people)] if made["low"] else None,
        "edge": x(made["users"]) if made["users"] else None,
        "x": [(x(each), f"{each:g}") for each in ticks(people)],
        "y": [(y(each), f"{each:g}") for each in ticks(top)],
    }


def _curve(curve: Callable[[float], float], people: float) -> list[tuple[float, float]]:
    last = max(people, 1.0)
    places = (1 + (last - 1) * at / CURVE for at in range(CURVE + 1))
    return [(users, curve(users)) for users in places]


def ticks(top: float) -> Sequence[float]:
    """Round numbers from 0 to a maximum, at most seven."""
    power = 10.0 ** math.floor(math.log10(top / 6)) if top > 0 else 1.0
    step = next(power * each for each in (1, 2, 5, 10) if power * each * 6 >= top)
    return [round(at * step, 12) for at in range(int(top / step + 1e-9) + 1)]
