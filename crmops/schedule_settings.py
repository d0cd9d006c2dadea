"""The section ``schedule`` of the configuration: commands of crmops and when they are due."""

from __future__ import annotations

import shlex
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

RUNNABLE = ("load", "dq", "backup", "pull", "drill", "probe", "gate", "alerts", "runs")
"""Commands that end by themselves and leave a Run, or keep house."""

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FORM = "minute hour day month weekday, like 0 2 * * * for two o'clock every night"


def crontab_days(field: str) -> str:
    """The weekday field of a crontab line as day names.

    crontab(5) counts from Sunday, which is 0 and 7; the library counts from Monday.  So numbers
    become names before it sees them.  Raises ValueError for a field that is none.
    """
    if field in ("*", "?"):
        return "*"
    chosen: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0", "-", "6") if span == "*" else span.partition("-")
        begin = _day(first)
        end = _day(last or (first if not step else "6"))
        end = end if end >= begin else end + 7
        width = int(step or 1)
        if width < 1:
            raise ValueError(f"{part!r} has no step")
        chosen.update(day % 7 for day in range(begin, end + 1, width))
    return ",".join(_DAYS[day] for day in sorted(chosen))


def _day(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if not text.isdigit() or int(text) > 7:
        raise ValueError(f"{text!r} is no weekday")
    return int(text)


def _cron(value: str) -> str:
    from apscheduler.triggers.cron import CronTrigger

    fields = value.split()
    if len(fields) != 5:
        raise ValueError(f"{value!r} has {len(fields)} fields, 5 are wanted")
    try:
        CronTrigger.from_crontab(" ".join([*fields[:4], crontab_days(fields[4])]), timezone="UTC")
    except ValueError as error:
        reason = str(error).rpartition(": ")[2]
        raise ValueError(f"{value!r} is no time: {reason}") from None
    return value


def _command(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no command: {str(error).lower()}") from None
    if words and words[0] == "crmops":
        raise ValueError(f"{value!r} begins with crmops; leave that word out")
    if not words or words[0] not in RUNNABLE:
        raise ValueError(
            f"{value!r} cannot be scheduled; a command begins with {', '.join(RUNNABLE)}"
        )
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone; write UTC or Asia/Shanghai") from None
    return value


class Entry(BaseModel):
    """One command and when it is due."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Annotated[
        str, AfterValidator(_command), Field(description="what stands behind crmops: dq run")
    ]
    cron: Annotated[str, AfterValidator(_cron), Field(description=_FORM)]
    name: Annotated[str, Field(max_length=60, description="by default the command itself")] = ""

    @property
    def label(self) -> str:
        """What it is called in logs and claims."""
        return self.name or self.run


class Settings(BaseModel):
    """What ``crmops serve`` carries out by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: tuple[Entry, ...] = ()
    timezone: Annotated[str, AfterValidator(_zone), Field(description="of the times above")] = "UTC"

    @model_validator(mode="after")
    def _once(self) -> Self:
        labels = [each.label for each in self.entries]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"{label!r} is scheduled twice; give one of them another name")
        return self
