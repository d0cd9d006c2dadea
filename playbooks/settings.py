"""The section ``drills:`` of crmops.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Smoke(_Part):
    """What the restored copy must be able to do besides reading and writing by SQL.

    ``serve`` starts an application on the copy: ``{database_url}`` and ``{ready_file}`` are
    filled in; it must write the ready file, JSON with a ``url``, and answer ``health`` with 200.
    """

    sql: tuple[str, ...] = Field(
        default=(), description="statements that must succeed, each rolled back"
    )
    serve: tuple[str, ...] = Field(default=(), description="command of the application")
    health: str = "/healthz"
    timeout: Seconds = 60.0


class Settings(_Part):
    """Objectives, places and patience of backups and drills."""

    rto_objective: Seconds = Field(default=3600.0, description="seconds to a working copy")
    rpo_objective: Seconds = Field(default=86400.0, description="seconds of work that may be lost")
    minimum_rows: Annotated[int, Field(ge=1)] = 1
    directory: str = Field(default="", description="where backups lie; default: the state folder")
    scratch: str = Field(default="", description="where copies are restored to; default: /tmp")
    keep: Annotated[int, Field(ge=1, description="verified backups kept of each target")] = 7
    timeout: Seconds = Field(default=7200.0, description="seconds for a whole playbook")
    archive_wait: Seconds = Field(default=120.0, description="seconds until a segment is archived")
    recovery_wait: Seconds = Field(default=3600.0, description="seconds until it is recovered")
    quiet_wait: Annotated[float, Field(ge=0)] = Field(
        default=10.0, description="seconds to look for an instant without a write in flight"
    )
    brief_lock: Annotated[float, Field(ge=0)] = Field(
        default=1.0,
        description="seconds that writers may wait when no such instant is found; 0: never lock",
    )
    amcheck: bool = True
    smoke: Smoke = Smoke()
