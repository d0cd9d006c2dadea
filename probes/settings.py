"""The section ``probes`` of the configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crmops.units import Seconds


class Probe(BaseModel):
    """One journey, walked again and again by one account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    journey: Annotated[str, Field(min_length=1, description="which; see crmops probe list")]
    target: Annotated[str, Field(description="empty: the default target")] = ""
    every: Annotated[Seconds, Field(ge=0.5, description="from one begin to the next")] = 15.0
    limit: Annotated[
        Seconds,
        Field(gt=0, description="a walk that takes longer is a fail, even if all went well"),
    ] = 5.0


class Settings(BaseModel):
    """Which journeys are walked on a schedule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probes: tuple[Probe, ...] = Field(default=(), description="what is walked, and how often")

    @model_validator(mode="after")
    def _once(self) -> Settings:
        seen: set[tuple[str, str]] = set()
        for probe in self.probes:
            key = (probe.target, probe.journey)
            if key in seen:
                raise ValueError(f"journey {probe.journey!r} is probed twice on the same target")
            seen.add(key)
        return self
