"""The section ``dq:`` of crmops.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from crmops.config import LocalPath
from crmops.secret import Secret
from crmops.units import Seconds
from crmops.verdict import Objective
from dq_checks.references import Reference
from dq_checks.suite import Identifier
from dq_checks.waivers import Waiver

GOAL = Objective(measure="score", op=">=", limit=0.95)
"""Where enterprises set their goal; see docs/data-quality.md."""


class SparkSettings(BaseModel):
    """The Spark of `engine: spark`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    master: Annotated[str, Field(min_length=1, description="where it runs, as Spark names it")] = (
        "local[*]"
    )
    memory: Annotated[
        str, Field(pattern=r"^[1-9][0-9]*[mg]$", description="of the driver: 512m, 2g")
    ] = "1g"


class Settings(BaseModel):
    """Data-quality audits: what is audited, where, and how good is good enough."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    suites: tuple[str, ...] = Field(
        default=("accounts", "contacts"), description="the suites when none is named"
    )
    suite_directories: tuple[LocalPath, ...] = Field(
        default=(), description="directories with suites of your own, beside those shipped"
    )
    database: Literal["auto", "live", "replica"] = Field(
        default="auto", description="where audits read; auto: the replica when there is one"
    )
    engine: Literal["scratch", "spark"] = Field(
        default="scratch", description="what files and snapshots are audited on"
    )
    spark: SparkSettings = Field(default=SparkSettings(), description="the Spark of engine: spark")
    country: Literal["auto", "CN", "US"] = Field(
        default="auto", description="whose phone numbers and postcodes; auto: by most of the values"
    )
    objectives: tuple[Objective, ...] = Field(
        default=(GOAL,), description="what the measures must be, besides the rules' thresholds"
    )
    minimum_rows: Annotated[
        int, Field(ge=1, description="with fewer rows the verdict is unknown")
    ] = 1
    statement_timeout: Annotated[
        Seconds, Field(gt=0, le=86400, description="the time for one statement")
    ] = 300.0
    pace: Literal["full", "gentle"] = Field(
        default="full",
        description="gentle: one core of the server, short statements with pauses between them",
    )
    duty: Annotated[
        float, Field(gt=0, lt=1, description="the share of time that a gentle audit takes")
    ] = 0.1
    slice_rows: Annotated[
        int, Field(ge=1, description="rows that a statement looks at: gentle and incremental")
    ] = 10_000
    incremental: bool = Field(
        default=False, description="slices that have not changed are not counted again"
    )
    groups: bool = Field(
        default=True, description="scores by owner, team, region and source, for one more scan"
    )
    record_link: str = Field(
        default="", description="address of a record: https://crm/{table}/{id}, also {entity}"
    )
    minutes_per_record: Annotated[
        float, Field(ge=0, description="what it costs a person to mend one, for worklists")
    ] = 3.0
    worklist: Literal["none", "failed", "all"] = Field(
        default="failed", description="which rules' records are listed: none, failed, all"
    )
    worklist_rows: Annotated[
        int, Field(ge=1, le=100_000, description="the most records listed for one rule")
    ] = 1000
    drop: Annotated[
        float, Field(gt=0, le=1, description="a score this far below its usual is a finding")
    ] = 0.02
    references: dict[Identifier, Reference] = Field(
        default_factory=dict, description="second sources that rules compare the records with"
    )
    waivers: tuple[Waiver, ...] = Field(
        default=(), description="what may be bad for a while, and leaves the score"
    )
    entry_token: Secret | None = Field(
        default=None, description="forms that ask for duplicates must send it as a bearer token"
    )
    waiver_files: tuple[LocalPath, ...] = Field(
        default=(), description="YAML files with more of them, below a key waivers"
    )
