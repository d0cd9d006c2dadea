"""Second sources that rules compare the CRM with: a file, or what a query of a database answers."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crmops.config import LocalPath
from crmops.secret import Secret
from crmops.units import Seconds
from dq_checks.messages import Against


class Reference(BaseModel):
    """One second source.  Nothing but the fields that a rule names is read of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: LocalPath | None = Field(default=None, description="CSV, XLSX or Parquet")
    database: Secret | None = Field(default=None, description="address, by env: or file:")
    query: str = Field(default="", description="SELECT of the fields, read-only")
    max_age: Annotated[
        Seconds | None, Field(gt=0, description="a file written longer ago says nothing")
    ] = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.database is None):
            raise ValueError("needs exactly one of file and database")
        if self.database is not None and not self.query.strip():
            raise ValueError("has a database, so it needs a query")
        if self.file is not None and self.query:
            raise ValueError("has a file, so it takes no query")
        if self.database is not None and self.max_age is not None:
            raise ValueError("has a database, whose answers have no age; take max_age away")
        return self

    def against(self) -> Against:
        """What the worker is told of it."""
        return Against(
            file="" if self.file is None else str(self.file),
            url="" if self.database is None else self.database.reveal(),
            query=self.query,
            max_age=self.max_age,
        )
