"""The plan of a migration: two sides, a key, fields with their steps; read to the line.

A plan names columns and picks from a closed vocabulary.  It holds no code; the one free text is
the query of a database side, which runs read-only with the rights of the account that is given.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from crmops.config.explain import ConfigProblems, explain
from crmops.config.reader import Document, Key, nearest, read_document
from crmops.config.references import reader
from crmops.errors import ConfigError
from crmops.secret import RESOLVER, Secret
from crmops.units import Seconds

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
ColumnName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Kind = Literal["text", "integer", "decimal", "boolean", "date", "timestamp"]
Measured = Literal[
    "rows.missing", "rows.extra", "rows.different", "columns.unmapped", "values.unmapped",
    "rows.orphaned",
]  # fmt: skip

DATE_PARTS = {
    "%Y": "([0-9]{4})", "%m": "([0-9]{1,2})", "%d": "([0-9]{1,2})",
    "%H": "([0-9]{1,2})", "%M": "([0-9]{2})", "%S": "([0-9]{2})",
}  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SideSettings(_Part):
    """Where the records of one side lie: a file, or a table or query of a database."""

    file: Path | None = Field(default=None, description="CSV, XLSX or Parquet; may hold {batch}")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(
        default=",", description="what stands between the cells of a CSV file"
    )
    database: Secret | None = Field(default=None, description="address, by reference")
    crm: str = Field(default="", description="a target of crmops.yaml, whose database is read")
    table: Text = Field(default="", description="a table, with or without its schema")
    query: Text = Field(default="", description="one SELECT instead of a table")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(map(bool, (self.file, self.database is not None, self.crm))) != 1:
            raise ValueError("needs exactly one of file, database and crm")
        if self.file is None and bool(self.table) == bool(self.query):
            raise ValueError("needs exactly one of table and query")
        if self.file is not None and (self.table or self.query):
            raise ValueError("has a file, so neither table nor query fits")
        return self


def _word(value: object) -> object:
    return {"do": value} if isinstance(value, str) else value


class Step(_Part):
    """One change of a value: a word, or ``map`` or ``date`` with what it needs."""

    do: Literal["trim", "lower", "blank_to_null"] | None = None
    map: dict[Text, Text | None] | None = Field(default=None, description="old value to new")
    others: Literal["count", "keep", "null"] = Field(
        default="count", description="values that the map lacks: counted, kept, or made null"
    )
    date: Text | None = Field(default=None, description="how dates are written, like %d.%m.%Y")

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if sum(each is not None for each in (self.do, self.map, self.date)) != 1:
            raise ValueError("needs exactly one of a word (trim, lower, blank_to_null), map, date")
        if self.map is not None and not self.map:
            raise ValueError("has an empty map")
        if self.date is not None:
            found = re.findall(r"%.", self.date)
            bad = [each for each in found if each not in DATE_PARTS or found.count(each) > 1]
            if bad or not {"%Y", "%m", "%d"} <= set(found):
                allowed = " ".join(DATE_PARTS)
                raise ValueError(f"a date needs %Y, %m and %d once each; allowed: {allowed}")
        return self


Steps = tuple[Annotated[Step, BeforeValidator(_word)], ...]


class FieldSettings(_Part):
    """One field: its column in the target, where the value comes from, what is done to it."""

    name: ColumnName = Field(description="the column in the target")
    column: ColumnName | None = Field(
        default=None, alias="from", description="the column in the source; else the same name"
    )
    constant: Text | None = Field(default=None, description="every record has this value")
    concat: tuple[ColumnName, ...] = Field(default=(), description="columns of the source, joined")
    between: Text = Field(default=" ", description="what stands between joined columns")
    type: Kind = Field(default="text", description="how values are compared")
    scale: Annotated[int, Field(ge=0, le=9)] = Field(
        default=6, description="decimals that are compared"
    )
    steps: Steps = Field(default=(), description="what is done to the value of the source")
    target_steps: Steps = Field(default=(), description="what is done to the value of the target")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = (self.column is not None, self.constant is not None, bool(self.concat))
        if sum(given) > 1:
            raise ValueError("takes one of from, constant and concat")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the source that it needs."""
        if self.constant is not None:
            return ()
        return self.concat or (self.column or self.name,)


class Batches(_Part):
    """How the records are cut into batches; without it there is one, called ``all``."""

    names: tuple[Name, ...] = Field(min_length=1, description="the batches, in their order")
    source: ColumnName | None = Field(default=None, description="column that holds the batch")
    target: ColumnName | None = Field(default=None, description="column that holds the batch")


class Ignored(_Part):
    """Columns that are left out on purpose."""

    source: tuple[ColumnName, ...] = ()
    target: tuple[ColumnName, ...] = ()


class Reference(_Part):
    """A field of the target whose values must exist elsewhere."""

    field: ColumnName = Field(description="a field of the plan")
    within: SideSettings = Field(alias="in", description="where its values must exist")
    column: ColumnName = Field(default="id", description="the column that holds them")


class Plan(_Part):
    """A whole plan.  Raises through :func:`read_plan` with the line of whatever is wrong."""

    name: Name = Field(description="what the Runs are called")
    source: SideSettings
    target: SideSettings
    batches: Batches | None = None
    key: tuple[FieldSettings, ...] = Field(min_length=1, description="what tells records apart")
    fields: tuple[FieldSettings, ...] = Field(default=(), description="what is compared")
    ignore: Ignored = Ignored()
    references: tuple[Reference, ...] = ()
    limits: dict[Measured, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="how many are allowed; nothing is 0"
    )
    sample: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=200, description="equal records that are compared field by field as well"
    )
    listed: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=10_000, description="differing keys that the evidence lists, at most"
    )
    statement_timeout: Seconds = Field(default=900, description="of one query of a database")

    @property
    def all_fields(self) -> tuple[FieldSettings, ...]:
        """Key first, then the others."""
        return (*self.key, *self.fields)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [each.name for each in self.all_fields]
        twice = next((each for each in names if names.count(each) > 1), None)
        if twice is not None:
            raise ValueError(f"has two fields called {twice!r}")
        for each in self.references:
            if each.field not in names:
                raise ValueError(f"refers to {each.field!r}, which is no field of the plan")
        self._check_batches()
        return self

    def _check_batches(self) -> None:
        for label in ("source", "target"):
            side: SideSettings = getattr(self, label)
            by_file = side.file is not None and "{batch}" in str(side.file)
            by_column = self.batches is not None and getattr(self.batches, label) is not None
            if by_file and self.batches is None:
                raise ValueError(f"has {{batch}} in {label}.file, but no batches")
            if self.batches is not None and by_file == by_column:
                raise ValueError(
                    f"has batches, so {label} needs either {{batch}} in its file or "
                    f"batches.{label}, the column that holds the batch"
                )


Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Loaded(Generic[Model]):
    """A plan with the file that it came from; ``digest`` is the SHA-256 of the file."""

    plan: Model
    document: Document
    directory: Path
    digest: str

    def wrong(self, key: Key, message: str, hint: str = "") -> ConfigError:
        """An error that names the line of a key."""
        return ConfigError(message, where=self.document.where(key), hint=hint)

    def no_column(self, key: Key, side: str, column: str, columns: list[str]) -> ConfigError:
        """The error of a column that a side lacks."""
        guess = nearest(column, columns)
        meant = f"Did you mean {guess!r}? " if guess else ""
        shown = ", ".join(columns[:40])
        return self.wrong(key, f"{side} has no column {column!r}", f"{meant}There are: {shown}.")


def read_plan(path: Path, model: type[Model], guide: str) -> Loaded[Model]:
    """The plan in a file.  Raises ConfigError with the line of whatever is wrong in it.

    ``guide`` is the page of the documentation that describes its keys.
    """
    document = read_document(path, str(path))
    context = {RESOLVER: reader(path.absolute().parent, dict(os.environ), lambda _: None)}
    try:
        plan = model.model_validate(document.values, context=context)
    except ValidationError as error:
        found = explain(error, model, document.values, (), document.where)
        raise ConfigProblems([_about(each, guide) for each in found.problems]) from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Loaded(plan, document, path.absolute().parent, digest)


def _about(problem: ConfigError, guide: str) -> ConfigError:
    """The hint of settings leads to their schema; plans are described elsewhere."""
    if not problem.hint or "config schema" in problem.hint:
        problem.hint = f"{guide} describes every key of a plan."
    return problem


def plain(value: Any) -> Any:
    """A part of a plan as plain data, for evidence: addresses never."""
    return value.model_dump(mode="json", exclude={"database"}, exclude_defaults=True)
