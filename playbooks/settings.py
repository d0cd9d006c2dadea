"""The section ``drills:`` of crmops.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from crmops.config import LocalPath
from crmops.config.frame import wrong
from crmops.config.types import BASE, against
from crmops.model import ENTITIES
from crmops.units import Seconds

Patience = Annotated[Seconds, Field(gt=0)]


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
    health: str = Field(default="/healthz", description="path that answers 200 when it works")
    timeout: Patience = Field(default=60.0, description="until it answers")
    journeys: tuple[str, ...] = Field(
        default=(),
        description="journeys that somebody walks in that application; all must end well",
    )

    @model_validator(mode="after")
    def _somewhere_to_walk(self) -> Self:
        if self.journeys and not self.serve:
            raise wrong(
                "journeys need an application on the copy, and serve is empty",
                "Give the application's command in serve, or take journeys away.",
            )
        return self


class Audits(_Part):
    """Data-quality suites that are audited on the restored copy.

    A copy of bad data is as bad as its source: by default it only counts that a score can be had.
    """

    suites: tuple[str, ...] = Field(default=(), description="names of suites; none: no audit")
    suite_directories: tuple[LocalPath, ...] = Field(
        default=(), description="directories with suites of your own, as in dq.suite_directories"
    )
    minimum_score: Annotated[
        float, Field(ge=0, le=1, description="each suite must reach this score on the copy")
    ] = 0.0
    timeout: Patience = Field(default=900.0, description="seconds for all of them")


SERVER = (
    "effective_cache_size", "effective_io_concurrency", "hash_mem_multiplier", "huge_pages",
    "io_method", "io_workers", "maintenance_io_concurrency", "maintenance_work_mem",
    "max_parallel_maintenance_workers", "max_parallel_workers", "max_parallel_workers_per_gather",
    "max_wal_size", "recovery_prefetch", "shared_buffers", "wal_buffers", "wal_decode_buffer_size",
    "work_mem",
)  # fmt: skip
"""What may be set of the copy's server: how fast it is, never what it does to others."""


class Failover(_Part):
    """The rehearsal of a failover, on copies."""

    outage_objective: Patience = Field(
        default=60.0, description="seconds that nobody may be able to work"
    )
    probe_every: Patience = Field(default=0.1, description="seconds between two probes")
    probe_timeout: Patience = Field(default=2.0, description="a probe without answer is a bad one")


class Agreed(_Part):
    """What was agreed on drills: who answers for them and how often one must pass."""

    owner: str = Field(default="", description="who sees to it; default: drills.owner")
    approver: str = Field(default="", description="who approves it; default: drills.approver")
    every: Patience = Field(
        default=92 * 86400.0, description="a drill must pass as often as this; 92d: quarterly"
    )


def _recipient(value: str, info: ValidationInfo) -> str:
    """A file of recipients is relative to the configuration file; a recipient stays."""
    if value.lower().startswith(("age1", "age-")):
        return value
    context: Any = info.context or {}
    return str(against(context.get(BASE, Path.cwd()), Path(value)))


class Stored(_Part):
    """How backups are kept: encrypted, signed, and in a second place."""

    encrypt_to: tuple[Annotated[str, AfterValidator(_recipient)], ...] = Field(
        default=(),
        description="age recipients (age1...) or files of them, two or more; none: not encrypted",
    )
    identity: LocalPath | None = Field(
        default=None, description="file (mode 0600) of the age key that drills decrypt with"
    )
    trusted_key: LocalPath | None = Field(
        default=None,
        description="public key (PEM) whose signature backups must bear; default: signing_key's",
    )
    offsite: LocalPath | None = Field(
        default=None, description="directory or mount of the second copy"
    )


class Saas(_Part):
    """Snapshots through the CRM's own API, and the drill that pushes a part of one elsewhere."""

    entities: tuple[str, ...] = Field(default=ENTITIES, description="what is pulled")
    into: str = Field(
        default="", description="target that drills push a sample into: a test organisation"
    )
    sample: Annotated[int, Field(ge=1, description="records that a drill pushes, and parents")] = (
        200
    )
    left_out: tuple[str, ...] = Field(
        default=("user", "team"), description="entities that are never pushed"
    )
    refused_ratio: Annotated[
        float, Field(ge=0, le=1, description="values that the other CRM may refuse")
    ] = 0.0

    @field_validator("entities", "left_out", mode="after")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in ENTITIES:
                raise wrong(f"{name!r} is no entity", f"Allowed: {', '.join(ENTITIES)}.")
        return value


class Settings(_Part):
    """Objectives, places and patience of backups and drills."""

    rto_objective: Patience = Field(default=3600.0, description="seconds to a working copy")
    rpo_objective: Patience = Field(default=86400.0, description="seconds of work that may be lost")
    minimum_rows: Annotated[
        int, Field(ge=1, description="with fewer rows in all the verdict is unknown")
    ] = 1
    directory: str = Field(default="", description="where backups lie; default: the state folder")
    scratch: str = Field(default="", description="where copies are restored to; default: /tmp")
    keep: Annotated[int, Field(ge=1, description="verified backups kept of each target")] = 7
    keep_weekly: Annotated[int, Field(ge=0, description="and the newest of so many weeks")] = 0
    keep_monthly: Annotated[int, Field(ge=0, description="and the newest of so many months")] = 0
    operator: str = Field(default="", description="who asks for drills, for the evidence")
    owner: str = Field(default="", description="whose drill it is, for the evidence")
    approver: str = Field(default="", description="who approved the drill, for the evidence")
    standards: str = Field(
        default="", description="YAML of the standards that evidence names; default: crmops's own"
    )
    signing_key: str = Field(
        default="", description="ed25519 key in PEM that signs evidence; default: one is made"
    )
    timeout: Patience = Field(default=7200.0, description="seconds for a whole playbook")
    archive_wait: Patience = Field(default=120.0, description="seconds until a segment is archived")
    recovery_wait: Patience = Field(default=3600.0, description="seconds until it is recovered")
    quiet_wait: Seconds = Field(
        default=10.0, description="seconds to look for an instant without a write in flight"
    )
    brief_lock: Seconds = Field(
        default=1.0,
        description="seconds that writers may wait when no such instant is found; 0: never lock",
    )
    server: dict[str, str] = Field(
        default_factory=dict,
        description="PostgreSQL settings of the copy: memory, parallel work, recovery_prefetch",
    )
    amcheck: bool = Field(default=True, description="check the indexes of the copy with amcheck")
    smoke: Smoke = Smoke()
    audits: Audits = Audits()
    failover: Failover = Failover()
    backup: Stored = Stored()
    saas: Saas = Saas()
    calendar: Agreed = Agreed()

    @field_validator("server", mode="after")
    @classmethod
    def _only_speed(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in SERVER:
                raise wrong(
                    f"{name!r} is not to be set: the copy has its own",
                    f"Allowed: {', '.join(SERVER)}.",
                )
        return value
