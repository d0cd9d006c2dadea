"""The plan of a reconciliation: two systems, the business key, what must agree and how closely."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crmops.units import Seconds
from dq_checks.migration.plan import ColumnName, FieldSettings, Name, SideSettings, Steps, Text

Counted = Literal[
    "rows.lost", "rows.extra", "rows.late", "rows.different", "keys.duplicated", "rows.keyless"
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class System(SideSettings):
    """One system: where its records lie, and what it is called in the worklist."""

    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(
        default="", description="what people call it, like ERP"
    )
    moment: ColumnName | None = Field(
        default=None, description="column with the moment of the last change, in UTC"
    )


class Agreement(_Part):
    """One thing that must agree: an amount within tolerances, a status or owner by its map."""

    name: Annotated[str, Field(min_length=1, max_length=60)] = Field(description="amount, status")
    crm: ColumnName = Field(description="the column in the CRM")
    other: ColumnName = Field(description="the column in the other system")
    type: Literal["text", "amount"] = Field(default="text", description="how it is compared")
    steps: Steps = Field(default=(), description="what is done to the CRM's value first")
    other_steps: Steps = Field(default=(), description="what is done to the other's value first")
    map: dict[Text, Text] = Field(
        default_factory=dict, description="the CRM's value to the other system's"
    )
    absolute: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="amounts may differ by so much"
    )
    relative: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="or by this part of the larger amount; 0.01 is one per cent"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type == "amount" and self.map:
            raise ValueError("is an amount, so it takes no map")
        if self.type == "text" and (self.absolute or self.relative):
            raise ValueError("has a tolerance, so its type must be amount")
        return self


class ReconcilePlan(_Part):
    """A whole plan.  ``crm`` is compared with ``other`` on ``key``."""

    name: Name = Field(description="what the Runs are called")
    crm: System
    other: System
    key: tuple[FieldSettings, ...] = Field(
        min_length=1, description="the business key: `from` is the CRM's column, `name` the other's"
    )
    agree: tuple[Agreement, ...] = Field(default=(), description="what must agree")
    owner: ColumnName | None = Field(
        default=None, description="column of the CRM with the key of whoever works the list"
    )
    in_flight: Seconds = Field(
        default=0, description="records changed so recently may still be on their way"
    )
    late: Seconds = Field(
        default=0, description="missing or differing for less than this is late, not yet lost"
    )
    limits: dict[Counted, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="how many are allowed; nothing is 0"
    )
    minimum_rows: Annotated[int, Field(ge=1)] = Field(
        default=1, description="with fewer settled pairs the verdict is unknown"
    )
    listed: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=100_000, description="rows of the worklist, at most"
    )
    statement_timeout: Seconds = Field(default=900, description="of one query of a database")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [each.name for each in self.key] + [each.name for each in self.agree]
        twice = next((each for each in names if names.count(each) > 1), None)
        if twice is not None:
            raise ValueError(f"has {twice!r} twice")
        if (self.in_flight or self.late) and not (self.crm.moment and self.other.moment):
            raise ValueError("has in_flight or late, so crm.moment and other.moment are needed")
        if self.late and self.late < self.in_flight:
            raise ValueError("has late shorter than in_flight")
        if any("{batch}" in str(each.file) for each in (self.crm, self.other)):
            raise ValueError("has {batch} in a file; reconciliations have no batches")
        return self
