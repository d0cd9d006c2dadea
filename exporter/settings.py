"""The section ``exporter`` of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from crmops.record import Kind


class Expected(BaseModel):
    """Something that must happen now and then; exported as never done until it has been."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(description="the kind of run that must happen")
    subject: str = Field(description="its subject")
    target: str = Field(default="", description="which target; empty: the default target")


class Settings(BaseModel):
    """What the exporter shows beyond what the history holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expected: tuple[Expected, ...] = Field(
        default=(), description="what must happen now and then; shown as never done until it is"
    )
