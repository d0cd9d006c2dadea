"""The section ``exporter`` of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from crmops.record import Kind


class Expected(BaseModel):
    """Something that must happen now and then; exported as never done until it has been."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    subject: str
    target: str = ""


class Settings(BaseModel):
    """What the exporter shows beyond what the history holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expected: tuple[Expected, ...] = ()
