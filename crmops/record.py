"""The one record that every room writes and every reader reads."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

RECORD_SCHEMA = 1
"""Version of the shape below; older versions load through :func:`crmops.migrate.upgrade`."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Kind(StrEnum):
    """What was executed."""

    LOAD = "load"
    PROBE = "probe"
    DQ = "dq"
    BACKUP = "backup"
    DRILL = "drill"
    ALERT = "alert"
    WINDOW = "window"
    PULL = "pull"
    GATE = "gate"


class Verdict(StrEnum):
    """The four answers.  Only ``pass`` is good news."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    ERROR = "error"


class Unit(StrEnum):
    """The units a measure may have; everything is converted to one of them before it is kept."""

    SECONDS = "seconds"
    RATIO = "ratio"
    COUNT = "count"
    BYTES = "bytes"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)


class Measure(_Frozen):
    """One number: ``value`` in ``unit``, resting on ``observed`` samples.

    ``value`` is None when nothing was measured; that is never the same as 0.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    value: float | None
    unit: Unit
    observed: Annotated[int, Field(ge=0)] = 0

    @field_validator("value")
    @classmethod
    def _finite_or_none(cls, value: float | None) -> float | None:
        """JSON has no NaN or infinity, and neither is a measurement."""
        return None if value is None or not math.isfinite(value) else value


class Finding(_Frozen):
    """Something that a person must act on: what it is, what was seen, and what to do about it."""

    title: str
    detail: str = ""
    severity: Annotated[str, StringConstraints(pattern="^(info|warning|critical)$")] = "warning"
    subject: str = ""
    suggestion: str = ""

    @property
    def told(self) -> str:
        """What was seen and what to do, in one line."""
        return "; ".join(each for each in (self.detail, self.suggestion) if each)


class Evidence(_Frozen):
    """A file that proves something: path below the artifacts directory, SHA-256, size in bytes."""

    path: str
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Run(_Frozen):
    """One execution of anything.  ``begun`` and ``ended`` are UTC; ``ended`` is None while open."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    id: Annotated[str, StringConstraints(pattern="^[0-9A-HJKMNP-TV-Z]{26}$")]
    kind: Kind
    target: str
    subject: str
    begun: AwareDatetime
    ended: AwareDatetime | None = None
    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""
    measures: tuple[Measure, ...] = ()
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    tool_versions: dict[str, str] = Field(default_factory=dict)
    config_digest: str = ""
    record_schema: int = Field(default=RECORD_SCHEMA, alias="schema")

    @field_validator("begun", "ended")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        return value.astimezone(UTC) if value else None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is open.  Never negative, whatever the clock did."""
        return max((self.ended - self.begun).total_seconds(), 0.0) if self.ended else None

    def measure(self, name: str) -> Measure | None:
        """The measure of that name, or None."""
        return next((each for each in self.measures if each.name == name), None)

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated like a new record."""
        return type(self).model_validate({**self.model_dump(), **changes})

    def dump(self) -> dict[str, Any]:
        """Plain JSON types, as stored and as printed by ``--json``."""
        return self.model_dump(mode="json", by_alias=True)


def new_run(kind: Kind, target: str, subject: str, **fields: Any) -> Run:
    """An open run that begins now."""
    return Run(
        id=new_id(),
        kind=kind,
        target=target,
        subject=subject,
        begun=utc_now(),
        **fields,
    )


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A ULID of now: unique, and sorted by time."""
    return ulid(time.time(), os.urandom(10))


def ulid(seconds: float, tail: bytes) -> str:
    """48 bits of milliseconds and 80 of ``tail``, Crockford base 32 (github.com/ulid/spec)."""
    number = (int(seconds * 1000) << 80) | int.from_bytes(tail)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def measures_by_name(measures: Iterable[Measure]) -> dict[str, Measure]:
    """Measures keyed by name; a later one of the same name wins."""
    return {each.name: each for each in measures}
