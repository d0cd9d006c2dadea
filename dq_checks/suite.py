"""What an audit checks: suites of rules, as written in YAML."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from dq_checks.formats import CHECK_DIGITS, FORMATS, Country

Dimension = Literal[
    "completeness", "uniqueness", "timeliness", "validity", "accuracy", "consistency"
]
"""The six dimensions of DAMA UK."""

Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*([.][a-z0-9_]+)*$")]
Heading = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Scalar = bool | int | float | str
Check = Literal[
    "filled", "format", "pattern", "length", "check_digit", "one_of", "range", "compare",
    "fresh", "reference", "unique", "sql", "listed", "same",
]  # fmt: skip

NEEDS: dict[str, tuple[str, ...]] = {
    "filled": ("column",),
    "format": ("column", "format"),
    "pattern": ("column", "pattern"),
    "length": ("column", "maximum"),
    "check_digit": ("column", "code_of"),
    "one_of": ("column", "values"),
    "range": ("column",),
    "compare": ("column", "op", "other"),
    "fresh": ("column", "days"),
    "reference": ("column", "table"),
    "unique": ("columns",),
    "sql": ("good",),
    "listed": ("column", "reference"),
    "same": ("column", "reference", "by"),
}
"""What each kind of check cannot do without."""


class Condition(BaseModel):
    """One condition on one column: filled or not, equal to one of some values, or none of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: Column
    is_: Annotated[Literal["filled", "blank"] | None, Field(alias="is")] = None
    one_of: tuple[Scalar, ...] = ()
    none_of: tuple[Scalar, ...] = ()

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = (self.is_ is not None, bool(self.one_of), bool(self.none_of))
        if sum(given) != 1:
            raise ValueError("give exactly one of is, one_of and none_of")
        return self


class Planted(BaseModel):
    """Which planted defects of a reference CRM a rule should find; see ``crmops dq calibrate``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal[
        "exact_duplicate", "fuzzy_duplicate", "missing", "malformed", "stale", "orphaned",
        "inconsistent",
    ]  # fmt: skip
    field: Column | None = None


class Rule(BaseModel):
    """One rule: what it checks, what it counts for, and how good is good enough.

    ``threshold`` is the least share of good elements.  ``optional``: when the rule sees no
    elements in a table that has rows, it stays out of the verdict (it is still counted).
    ``countries``: the rule exists only for tables of these countries.  ``sample``: only this share
    of the rows is looked at, the same rows in every audit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: Identifier
    title: Annotated[str, Field(min_length=1, max_length=200)]
    check: Check
    dimension: Dimension
    code: Annotated[str, StringConstraints(pattern=r"^0[1-6]0[0-9]$")] = Field(
        description='the item of GB/T 36344, in quotes, for instance "0201"'
    )
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    owner: str = ""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.95
    optional: bool = False
    countries: tuple[Country, ...] = ()
    when: tuple[Condition, ...] = ()
    column: Column | None = None
    columns: tuple[Column, ...] = ()
    format: str | None = None
    pattern: str | None = None
    code_of: str | None = None
    values: tuple[Scalar, ...] = ()
    minimum: Scalar | None = None
    maximum: Scalar | None = None
    op: Literal["<", "<=", ">", ">=", "==", "!="] | None = None
    other: Column | None = None
    days: Annotated[int | None, Field(gt=0, le=36500)] = None
    table: Column | None = None
    key: Column = "id"
    ignore_case: bool = False
    applies: str | None = None
    good: str | None = None
    reference: Identifier | None = None
    field: Heading | None = None
    by: Column | None = None
    field_by: Heading | None = None
    sample: Annotated[float | None, Field(gt=0, lt=1)] = None
    finds: Planted | None = None

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        if value is not None and value not in FORMATS:
            raise ValueError(f"{value!r} is no format; there are: {', '.join(FORMATS)}")
        return value

    @field_validator("code_of")
    @classmethod
    def _known_code(cls, value: str | None) -> str | None:
        if value is not None and value not in CHECK_DIGITS:
            raise ValueError(
                f"{value!r} has no check digit known; there are: {', '.join(CHECK_DIGITS)}"
            )
        return value

    @field_validator("pattern")
    @classmethod
    def _portable_pattern(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if value.startswith("^") or value.endswith("$"):
            raise ValueError("a pattern matches the whole value; leave ^ and $ away")
        if "\\" in value:
            raise ValueError("a pattern has no backslash; write [0-9] or [.]")
        try:
            compiled = re.compile(value)
        except re.error as error:
            raise ValueError(f"the pattern cannot be read: {error}") from None
        if compiled.fullmatch("") or compiled.fullmatch(" "):
            raise ValueError("the pattern matches a blank value")
        return value

    @field_validator("values")
    @classmethod
    def _no_blank(cls, value: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if any(isinstance(each, str) and not each.strip() for each in value):
            raise ValueError("a blank value is missing, never allowed")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in NEEDS[self.check]:
            if getattr(self, name) in (None, ()):
                raise ValueError(f"a rule with check: {self.check} needs {name}")
        if self.check == "range" and self.minimum is None and self.maximum is None:
            raise ValueError("a rule with check: range needs minimum or maximum")
        if self.check == "listed" and (self.by or self.field_by):
            raise ValueError("a rule with check: listed takes no by; check: same compares by a key")
        if self.check == "unique" and self.sample is not None:
            raise ValueError("a rule with check: unique needs all rows; take sample away")
        return self

    @property
    def read(self) -> frozenset[str]:
        """The columns that the rule reads (an ``sql`` rule may read more)."""
        named = {
            self.column,
            self.other,
            self.by,
            *self.columns,
            *(each.column for each in self.when),
        }
        return frozenset(each for each in named if each is not None)


class Owners(BaseModel):
    """Where owners are described, so that scores can be summed by team and region."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Column
    key: Column = "id"
    team: Column | None = None
    region: Column | None = None


class Suite(BaseModel):
    """The rules for one table.  ``name`` is the subject of its Runs.

    ``only``: conditions that every audited row meets; other rows are as if they were not there.
    ``changed_by``: columns of which one at least becomes another whenever a row is changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    entity: Annotated[str, Field(min_length=1)]
    table: Column
    table_schema: Column | None = None
    key: Column = "id"
    owner_column: Column | None = None
    region_column: Column | None = None
    source_column: Column | None = None
    owners: Owners | None = None
    minimum_rows: Annotated[int, Field(ge=1)] = 1
    only: tuple[Condition, ...] = ()
    changed_by: tuple[Column, ...] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _unique_ids(self) -> Self:
        seen: set[str] = set()
        for at, rule in enumerate(self.rules):
            if rule.id in seen:
                problem = {"problem": f"two rules are called {rule.id}", "hint": "Rename one."}
                raise PydanticCustomError(
                    "setting", "{problem}", {**problem, "inside": ("rules", at, "id")}
                )
            seen.add(rule.id)
        return self

    def rules_for(self, country: Country) -> tuple[Rule, ...]:
        """The rules that exist for tables of a country."""
        return tuple(each for each in self.rules if not each.countries or country in each.countries)


def plain(rule: Rule) -> dict[str, Any]:
    """What was written, without defaults: for reports and for expectation metadata."""
    return rule.model_dump(mode="json", exclude_defaults=True, by_alias=True)
