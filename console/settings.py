"""The section ``console`` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """How the pages look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: Literal["auto", "en", "zh"] = Field(
        default="auto", description="auto: what the browser asks for"
    )
    title: str = Field(default="crmops", description="shown on top of every page")
