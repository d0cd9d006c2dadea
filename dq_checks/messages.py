"""What the audit command and its worker process say to each other: JSON, one message a line."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dq_checks.formats import Country
from dq_checks.suite import Suite


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(_Message):
    """What was counted in one slice of a table: a line of numbers for each group of records."""

    seal: str
    groups: tuple[tuple[tuple[int | str | None, ...], tuple[int, ...]], ...]


class Ledger(_Message):
    """What an audit counted, slice by slice; the next one takes what has not changed from it."""

    sections: dict[str, dict[str, Page]] = {}


class Against(_Message):
    """A second source of rules: a file, or a query.  ``url`` may hold a password."""

    file: str = ""
    url: str = ""
    query: str = ""
    max_age: float | None = None


class Job(_Message):
    """One suite to run.  ``url`` may hold a password: it goes over the pipe and nowhere else.

    ``waived`` has the keys of the records that somebody answers for, by rule.  ``duty`` is the
    share of the time for which the database may be kept busy.  With a ``ledger``, also an empty
    one, slices that have not changed are not counted again.
    """

    id: int
    url: str
    suite: Suite
    country: Country | Literal["auto"]
    as_of: datetime
    statement_timeout: float
    worklist: Literal["none", "failed", "all"]
    worklist_rows: int
    groups: bool
    duty: Annotated[float, Field(gt=0, le=1)] = 1.0
    slice_rows: Annotated[int, Field(ge=1)] = 10_000
    ledger: Ledger | None = None
    references: dict[str, Against] = {}
    waived: dict[str, tuple[str, ...]] = {}


class Count(_Message):
    """What one rule found: A good ones of B elements, or why it could not be counted.

    ``unknown``: what it compares with says nothing, which is no fault of the records.
    ``waived`` bad elements belong to records that somebody answers for; they are not in B.
    """

    rule: str
    status: Literal["counted", "error", "unknown"]
    checked: Annotated[int, Field(ge=0)] = 0
    good: Annotated[int, Field(ge=0)] = 0
    reason: str = ""
    waived: Annotated[int, Field(ge=0)] = 0


class Issue(_Message):
    """One record that breaks a rule: its key and its owner's, nothing else of it."""

    rule: str
    key: str
    owner: str = ""


class Share(_Message):
    """What one rule found among the records of one group; None: they have no owner, say."""

    owner: str | None
    team: str | None
    region: str | None
    source: str | None = None
    rule: str
    checked: int
    good: int


class Ready(_Message):
    """The worker has paid for its imports."""

    event: Literal["ready"] = "ready"
    versions: dict[str, str]


class Progress(_Message):
    """A sign of life from a job."""

    event: Literal["progress"] = "progress"
    job: int
    stage: str


class Audited(_Message):
    """A suite was run to its end.

    ``slices_anew`` of the table's ``slices`` had changed; None where nobody says what changed.
    """

    event: Literal["audited"] = "audited"
    job: int
    rows: int
    country: Country
    counts: tuple[Count, ...]
    issues: tuple[Issue, ...] = ()
    shortened: tuple[str, ...] = ()
    shares: tuple[Share, ...] = ()
    notes: tuple[str, ...] = ()
    ledger: Ledger | None = None
    slices: int | None = None
    slices_anew: int = 0
    seconds: float
    versions: dict[str, str]


class Failed(_Message):
    """A suite could not be run at all; the other suites can."""

    event: Literal["failed"] = "failed"
    job: int
    reason: str
    hint: str = ""


class Answer(_Message):
    """Any message of the worker."""

    said: Annotated[Ready | Progress | Audited | Failed, Field(discriminator="event")]
