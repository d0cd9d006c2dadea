"""What a gate requires, as the configuration says it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from crmops.record import Kind, Unit
from crmops.units import Seconds
from crmops.verdict import Objective, Op

SHARE = "passed.ratio"
"""The share of a subject's runs within ``window`` that passed: computed, not stored."""


class Requirement(BaseModel):
    """One thing that must be proven.

    Without ``measure`` the newest run of ``kind`` and ``subject`` must itself have passed; with
    it the number must be within ``limit``.  ``window`` asks for the share of runs that passed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, description="what it is called in the decision")]
    kind: Kind = Field(description="the kind of run that is evidence")
    subject: str = Field(description="the subject of that run: a workload, journey or suite")
    measure: str = Field(default="", description="the number; without it the run's own verdict")
    op: Op = Field(default="<=", description="how the number must stand to the limit")
    limit: float | None = Field(default=None, description="in the unit of the measure")
    unit: Unit | None = Field(default=None, description="the unit it must have, when given")
    minimum_samples: Annotated[
        int, Field(ge=1, description="with fewer samples the answer is unknown")
    ] = 1
    maximum_age: Annotated[Seconds, Field(description="older evidence is no evidence")] = 86400.0
    window: Annotated[Seconds | None, Field(description="share of passed runs over this time")] = (
        None
    )
    owner: str = Field(default="", description="whose job it is when it is not met")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        wants_number = bool(self.measure) or self.window is not None
        if wants_number and self.limit is None:
            raise ValueError("a requirement with measure or window needs a limit")
        if self.limit is not None and not wants_number:
            raise ValueError("a limit needs a measure or a window")
        if self.measure and self.window is not None:
            raise ValueError("give measure or window, not both")
        return self

    @property
    def objective(self) -> Objective | None:
        """The number that is wanted, or None where the run's own verdict decides."""
        if self.limit is None:
            return None
        return Objective(
            measure=self.measure or SHARE,
            op=self.op,
            limit=self.limit,
            unit=self.unit,
            minimum_samples=self.minimum_samples,
        )


class Waiver(BaseModel):
    """Somebody takes the responsibility for an unmet requirement, for a while."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requirement: str = Field(description="the name of the requirement")
    reason: Annotated[str, Field(min_length=1, description="why it may be unmet")]
    approver: Annotated[str, Field(min_length=1, description="who answers for it")]
    granted: Annotated[date, Field(description="the first day on which it holds, UTC")]
    expires: Annotated[date, Field(description="the last day on which it holds, UTC")]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.expires < self.granted:
            raise ValueError("a waiver cannot expire before it is granted")
        return self


class Gate(BaseModel):
    """A named gate on one target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(default="", description="which target; empty: the default target")
    requirements: Annotated[
        tuple[Requirement, ...], Field(min_length=1, description="what must be proven, all of it")
    ]
    waivers: tuple[Waiver, ...] = Field(
        default=(), description="unmet requirements that somebody answers for, for a while"
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [each.name for each in self.requirements]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two requirements are called {twice[0]!r}")
        for waiver in self.waivers:
            if waiver.requirement not in names:
                raise ValueError(
                    f"waiver for {waiver.requirement!r}, which is no requirement; "
                    f"known: {', '.join(names)}"
                )
        return self


class Gates(RootModel[dict[str, Gate]]):
    """The section ``gates`` of the configuration: gates by name."""

    model_config = ConfigDict(frozen=True)
