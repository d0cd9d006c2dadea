"""Waivers: somebody answers for a rule, or for one record that breaks it, until a date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from crmops.config.explain import ConfigProblems, explain
from crmops.config.reader import nearest, read_document
from crmops.errors import ConfigError
from dq_checks.suite import Identifier, Suite

Key = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class Waiver(BaseModel):
    """A rule, or one record of it, that may be bad for a while: it leaves the score."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    rule: Annotated[Identifier, Field(description="the id of the rule")]
    record: Annotated[Key, Field(description="a record's key; empty: the whole rule")] = ""
    reason: Annotated[str, Field(min_length=1, description="why it may be bad")]
    approver: Annotated[str, Field(min_length=1, description="who answers for it")]
    granted: Annotated[date, Field(description="the first day on which it holds, UTC")]
    expires: Annotated[date, Field(description="the last day on which it holds, UTC")]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.expires < self.granted:
            raise ValueError("a waiver cannot expire before it is granted")
        return self

    @property
    def subject(self) -> str:
        """What it is about, in words."""
        return f"{self.rule}, record {self.record}" if self.record else self.rule


class WaiverFile(BaseModel):
    """A YAML file of waivers, so that they can be approved apart from the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    waivers: tuple[Waiver, ...]


@dataclass(frozen=True)
class Holding:
    """The waivers of one suite on one day."""

    rules: dict[str, Waiver]
    records: dict[str, tuple[str, ...]]
    expired: tuple[Waiver, ...]


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """The waivers in a file.  Raises ConfigError with the line of whatever is wrong in it."""
    document = read_document(path, str(path))
    try:
        return WaiverFile.model_validate(document.values).waivers
    except ValidationError as error:
        found = explain(error, WaiverFile, document.values, (), document.where)
        for each in found.problems:
            if "config schema" in each.hint:  # which describes settings, not this file
                each.hint = "docs/data-quality.md describes every key of a waiver."
        raise ConfigProblems(list(found.problems)) from None


def gather(
    waivers: Sequence[Waiver], files: Sequence[Path], suites: Iterable[Suite]
) -> tuple[Waiver, ...]:
    """The waivers and those in files.  Raises ConfigError for a rule that there is not."""
    every = [*waivers, *(each for path in files for each in read_waivers(path))]
    ids = {rule.id for each in suites for rule in each.rules}
    for each in every:
        if each.rule not in ids:
            guess = nearest(each.rule, ids)
            raise ConfigError(
                f"a waiver is for {each.rule!r}, which is no rule",
                hint=f"Did you mean {guess!r}?" if guess else "`crmops dq list` names the rules.",
            )
    return tuple(every)


def in_force(waivers: Iterable[Waiver], suite: Suite, day: date) -> Holding:
    """The waivers that hold for a suite on a day, and those that held until before it.

    An expired waiver beside one that holds for the same thing was prolonged and is not named.
    """
    ids = {each.id for each in suite.rules}
    own = [each for each in waivers if each.rule in ids]
    valid = [each for each in own if each.granted <= day <= each.expires]
    records: dict[str, list[str]] = {}
    for each in valid:
        if each.record:
            records.setdefault(each.rule, []).append(each.record)
    held = {each.subject for each in valid}
    return Holding(
        rules={each.rule: each for each in valid if not each.record},
        records={rule: tuple(sorted({*keys})) for rule, keys in records.items()},
        expired=tuple(each for each in own if each.expires < day and each.subject not in held),
    )
