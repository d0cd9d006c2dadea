"""The optional sections of a profile: each one that is there gives the connector a power."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from crmops.connectors._profile_parts import PAGE, Records
from crmops.connectors._profile_types import Method, Operation, Part, SpotField


class Convert(Operation):
    """A lead becomes an account, a contact and a deal."""

    usual: ClassVar[Method] = "POST"
    path_default: ClassVar[str] = "{path}/{id}/convert"
    offers: ClassVar[tuple[str, ...]] = ("id", "deal")
    body_default: ClassVar[Any] = {"deal": "{deal}"}

    ids: dict[Literal["account", "contact", "deal"], SpotField] = Field(
        description="the places of the new records' ids", min_length=1
    )


class Pipeline(Operation):
    """Deals counted and summed up by stage, owner or region."""

    offers: ClassVar[tuple[str, ...]] = ("by",)
    path_default: ClassVar[str] = "/"

    rows: SpotField = Field(default=(), description="the place of the rows")
    key: SpotField = Field(default=("key",), description="the place of a row's key")
    count: SpotField = Field(default=("count",), description="the place of a row's count")
    amount: SpotField = Field(default=("amount",), description="the place of a row's sum")
    by: dict[Literal["stage", "owner", "region"], str] = Field(
        default={}, description="the vendor's words for stage, owner and region"
    )


class Export(Operation):
    """The whole of an entity in one answer."""

    format: Literal["csv", "ndjson", "json"] = Field(description="the form of the answer")
    rows: SpotField = Field(default=(), description="the place of the rows, with format json")


class Rejected(Part):
    """Where the answer of an import names the rows that were not taken."""

    at: SpotField = Field(description="the place of the list of rejected rows")
    row: SpotField = Field(default=("row",), description="the place of the row's number")
    first: int = Field(default=1, description="the number of the first data row")
    field: SpotField = Field(default=("field",), description="the place of the field's name")
    reason: SpotField = Field(default=("reason",), description="the place of the reason")


class Import(Operation):
    """Many records at once."""

    usual: ClassVar[Method] = "POST"
    offers: ClassVar[tuple[str, ...]] = ("rows",)
    body_default: ClassVar[Any] = "{rows}"

    format: Literal["csv", "json"] = Field(description="the form of the rows")
    batch: int = Field(default=200, ge=1, description="the most rows in one call")
    ids: SpotField = Field(description="the place of the new ids, in the order of the rows")
    rejected: Rejected = Field(description="the rows that were not taken")


class Describe(Operation):
    """What fields an entity has."""

    fields: SpotField = Field(default=(), description="the place of the list of fields")
    name: SpotField = Field(default=("name",), description="the place of a field's name")
    type: SpotField = Field(default=("type",), description="the place of a field's type")
    types: dict[str, Literal["text", "number", "date", "time", "bool"]] = Field(
        default={}, description="the vendor's types; those not named are text"
    )
    required: SpotField = Field(default=("required",), description="the place of `required`")
    unique: SpotField = Field(default=("unique",), description="the place of `unique`")
    max_length: SpotField = Field(default=("max_length",), description="the place of the length")
    values: SpotField = Field(default=("values",), description="the place of the allowed values")


class Count(Operation):
    """How many records of an entity there are."""

    path_default: ClassVar[str] = "{path}/count"

    count: SpotField = Field(default=("count",), description="the place of the number")


class Modified(Records):
    offers: ClassVar[tuple[str, ...]] = ("since", *PAGE)


class Deleted(Modified):
    id: SpotField | None = Field(default=None, description="the place of the id in an entry")
    deleted_at: SpotField = Field(
        default=("deleted_at",), description="the place of the moment in an entry"
    )


class Feeds(Part):
    """What changed and what was deleted since a moment."""

    modified: Modified = Field(description="records that were made or changed")
    deleted: Deleted = Field(description="records that were deleted")


class Powers(Part):
    """What not every CRM can do."""

    convert: Convert | None = Field(default=None, description="lead conversion")
    pipeline: Pipeline | None = Field(default=None, description="the pipeline report")
    export: Export | None = Field(default=None, description="bulk export")
    bulk_import: Import | None = Field(default=None, alias="import", description="bulk import")
    describe: Describe | None = Field(default=None, description="field metadata")
    count: Count | None = Field(default=None, description="numbers of records")
    feeds: Feeds | None = Field(default=None, description="feeds of changes and deletions")
