"""A workload: who works, how, in which phases.  One YAML file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crmops.journeys.base import Habits

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Role(_Part):
    """One kind of person: how many of all, how they think, what they do."""

    share: Share = Field(description="share of all people")
    accounts: tuple[str, ...] = Field(
        default=(),
        description="roles of target.accounts they may use; the role's own name if empty",
    )
    pace: Annotated[
        float, Field(gt=0, description="multiplies the think times that the journeys name")
    ] = 1.0
    pause: Annotated[float, Field(gt=0, description="median seconds between two journeys")] = 10.0
    spread: Annotated[
        float, Field(ge=0, le=2, description="sigma of the lognormal think times")
    ] = 0.5
    session: Annotated[float, Field(gt=0, description="median seconds until they log out")] = 2400.0
    abandon: Share = Field(default=0.3, description="share of sessions that end without a logout")
    skew: Annotated[
        float, Field(ge=0, le=3, description="exponent of Zipf's law over a list; 0 is even")
    ] = 1.0
    own: Share = Field(default=0.7, description="share of looks at one's own records")
    team: Share = Field(default=0.25, description="share of looks at the team's records")
    stray: Share = Field(
        default=0.1, description="share of searches with one before that finds nothing or too much"
    )
    deep: Annotated[
        float, Field(ge=0, le=0.9, description="how often somebody turns to a list's next page")
    ] = 0.15
    batch: Annotated[
        int, Field(ge=1, le=2_000, description="median number of rows of a list that they import")
    ] = 300
    journeys: Mapping[str, Positive] = Field(
        default_factory=dict, description="journey to weight; those that name the role if empty"
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.own + self.team > 1:
            raise ValueError(f"own and team add up to {self.own + self.team:g}, more than 1")
        return self

    @property
    def habits(self) -> Habits:
        """What such a person looks at, as journeys know it."""
        return Habits(self.skew, self.own, self.team, self.stray, self.batch, self.deep)


class Phase(_Part):
    """A stretch of time with its own statistics."""

    name: Name
    seconds: Positive
    people: Share = Field(default=1.0, description="share of all people present at its end")
    within: Annotated[
        float, Field(ge=0, description="seconds in which they come or go, from the phase's start")
    ] = 0.0
    arrival: Literal["even", "bell"] = "even"
    rate: Annotated[
        float | None, Field(gt=0, description="open model: arrivals a second at the phase's end")
    ] = None
    judged: bool = Field(default=True, description="whether objectives count it")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.within > self.seconds:
            raise ValueError(f"within ({self.within:g} s) is longer than the phase")
        return self


class Workload(_Part):
    """Thousands of people at work, described."""

    name: Name
    summary: str
    model: Literal["closed", "open"] = "closed"
    arrivals: Literal["poisson", "constant"] = "poisson"
    patience: Annotated[
        float,
        Field(gt=0, description="open model: seconds after which a waiting arrival is dropped"),
    ] = 60.0
    users: Annotated[int, Field(ge=1, description="how many people take part")]
    pace: Annotated[
        float, Field(gt=0, description="multiplies every think time; below 1 is hastier than life")
    ] = 1.0
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    roles: Annotated[dict[Name, Role], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum(role.share for role in self.roles.values())
        if abs(total - 1) > 0.001:
            raise ValueError(f"the shares of the roles add up to {total:g}, not 1")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError("two phases have one name")
        rates = [phase.rate is not None for phase in self.phases]
        if self.model == "open" and not all(rates):
            raise ValueError("every phase of an open workload needs a rate")
        if self.model == "closed" and any(rates):
            raise ValueError("only an open workload has rates")
        return self

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def peak(self) -> int:
        """The most people present at once."""
        return max(present(self.users, phase) for phase in self.phases)

    def changed(
        self,
        *,
        users: int | None = None,
        seconds: float | None = None,
        ramp: float | None = None,
        pace: float = 1.0,
    ) -> Workload:
        """With other numbers: phases are stretched alike, think times are multiplied."""
        phases = self.phases
        if seconds is not None:
            stretch = seconds / self.seconds
            phases = tuple(_stretched(phase, stretch) for phase in phases)
        if ramp is not None:
            first = {**phases[0].model_dump(), "within": ramp}
            phases = (Phase.model_validate(first), *phases[1:])
        changes = {"users": users or self.users, "phases": phases, "pace": self.pace * pace}
        return Workload.model_validate({**dict(self), **changes})


def present(users: int, phase: Phase) -> int:
    """How many people are there at a phase's end."""
    return round(users * phase.people)


def _stretched(phase: Phase, factor: float) -> Phase:
    changes = {"seconds": phase.seconds * factor, "within": phase.within * factor}
    return phase.model_copy(update=changes)
