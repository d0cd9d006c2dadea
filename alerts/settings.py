"""The section ``alerts`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from crmops.secret import Secret
from crmops.units import Seconds


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hook(_Part):
    """One HTTP request that begins or ends a rehearsed fault."""

    method: Annotated[
        Literal["GET", "POST", "PUT", "PATCH", "DELETE"], Field(description="the HTTP method")
    ] = "POST"
    url: Annotated[str, Field(pattern=r"^https?://", description="where it is sent")]
    body: Annotated[dict[str, Any] | None, Field(description="sent as JSON")] = None


class Rehearsal(_Part):
    """A fault made on purpose, to see its alert raised and cleared."""

    alert: str = Field(description="the alert that must come and go")
    begin: Hook = Field(description="what makes the fault")
    end: Hook = Field(description="what ends it")
    hold: Annotated[Seconds, Field(description="how long the fault lasts")] = 30.0
    raise_within: Annotated[Seconds, Field(description="from its begin to the alert")] = 30.0
    clear_within: Annotated[Seconds, Field(description="from its end to the all-clear")] = 60.0


class Settings(_Part):
    """How rules are made and where alerts go."""

    window: Annotated[Seconds, Field(gt=0, description="range of rates in the rules")] = 300.0
    hold: Annotated[Seconds, Field(description="how long it must last before it fires")] = 30.0
    group_wait: Annotated[
        Seconds, Field(description="Alertmanager waits so long for more of a group")
    ] = 5.0
    group_interval: Annotated[
        Seconds, Field(description="between two messages about one group that changes")
    ] = 30.0
    repeat_interval: Annotated[
        Seconds, Field(description="between two messages about one that does not")
    ] = 14400.0
    runbook_base: Annotated[
        str, Field(description="what runbook links begin with; the console serves /runbooks")
    ] = "/runbooks"
    receiver_token: Annotated[
        Secret | None, Field(description="Alertmanager must send it as a bearer token")
    ] = None
    rehearsal: Annotated[
        Rehearsal | None, Field(description="the fault for crmops alerts rehearse")
    ] = None
