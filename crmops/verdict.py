"""The one function that turns numbers into verdicts, for every room and for the gate.

Nothing here does I/O.  The rule above all others: no data is not good news.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from crmops.record import Measure, Unit, Verdict, measures_by_name

Op = Literal["<=", ">=", "<", ">", "=="]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
_BADNESS = (Verdict.PASS, Verdict.UNKNOWN, Verdict.FAIL, Verdict.ERROR)


class Objective(BaseModel):
    """What a measure must be: ``measure op limit``, resting on at least ``minimum_samples``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    measure: Annotated[str, Field(min_length=1, description="the name of the number")]
    op: Op = Field(default="<=", description="how it must stand to the limit")
    limit: float = Field(description="in the unit of the measure")
    unit: Unit | None = Field(default=None, description="the unit it must have, when given")
    minimum_samples: Annotated[
        int, Field(ge=1, description="with fewer samples the verdict is unknown")
    ] = 1

    def __str__(self) -> str:
        return f"{self.measure} {self.op} {self.limit:g}"


class Check(BaseModel):
    """One objective, judged: the number that was found and how far it is from the limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: Objective
    value: float | None
    observed: int
    verdict: Verdict
    reason: str

    @property
    def margin(self) -> float | None:
        """Distance to the limit in the measure's unit; positive is room to spare."""
        if self.value is None:
            return None
        gap = self.objective.limit - self.value
        return -gap if self.objective.op in (">=", ">") else gap


class Judgement(BaseModel):
    """The verdict over all objectives, with each one's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    reason: str
    checks: tuple[Check, ...] = ()


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a whole: error, else fail, else unknown, else pass.  Nothing is unknown."""
    return max(verdicts, key=_BADNESS.index, default=Verdict.UNKNOWN)


def judge(measures: Iterable[Measure], objectives: Sequence[Objective]) -> Judgement:
    """Judge measures against objectives.

    Passes only if there is at least one objective and every one is met by a finite value that
    rests on enough samples.  A breach outweighs a gap: one fail makes the whole fail.
    """
    if not objectives:
        return Judgement(verdict=Verdict.UNKNOWN, reason="no objective is set")
    found = measures_by_name(measures)
    checks = tuple(_check(found.get(each.measure), each) for each in objectives)
    verdict = worst(each.verdict for each in checks)
    reasons = [each.reason for each in checks if each.verdict is verdict]
    text = f"all {len(checks)} objectives met" if verdict is Verdict.PASS else "; ".join(reasons)
    return Judgement(verdict=verdict, reason=text, checks=checks)


def _check(measure: Measure | None, objective: Objective) -> Check:
    value = measure.value if measure else None
    observed = measure.observed if measure else 0
    gap = _gap(measure, objective)
    if gap:
        verdict, reason = Verdict.UNKNOWN, gap
    elif value is not None and _COMPARE[objective.op](value, objective.limit):
        verdict, reason = Verdict.PASS, f"{objective.measure} is {value:g}"
    else:
        verdict = Verdict.FAIL
        reason = f"{objective.measure} is {value:g}, not {objective.op} {objective.limit:g}"
    return Check(
        objective=objective,
        value=value,
        observed=observed,
        verdict=verdict,
        reason=reason,
    )


def _gap(measure: Measure | None, objective: Objective) -> str:
    """Why the measure cannot be judged, or nothing."""
    if measure is None:
        return f"{objective.measure} was not measured"
    if measure.value is None or not math.isfinite(measure.value):
        return f"{objective.measure} has no value"
    if objective.unit is not None and objective.unit is not measure.unit:
        return f"{objective.measure} is in {measure.unit}, not {objective.unit}"
    if measure.observed < objective.minimum_samples:
        return (
            f"{objective.measure} rests on {measure.observed} samples, "
            f"{objective.minimum_samples} are wanted"
        )
    return ""
