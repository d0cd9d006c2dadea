"""What a connector is: one CRM's dialect, without any I/O.

A connector turns neutral operations into Calls and Replies into records or one typed problem.
Every operation is a generator: it yields Calls and receives Replies, so that the same code runs
under gevent, httpx or an in-memory driver.  One instance serves one person (it holds the token).
Extra powers are extra Protocols (``Converts``, ``Reports``, ``Exports``, ``Imports``,
``Describes``, ``Counts``, ``Feeds``, ``Spans``), found by ``isinstance``; nobody raises "not
supported".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from crmops.outcome import CallFailed
from crmops.target import Target
from crmops.wire import Call, Order, Reply

Record: TypeAlias = dict[str, Any]
"""One record in neutral field names; ``id`` is always a string."""

T = TypeVar("T")
Talk: TypeAlias = Generator[Order, Reply | None, T]
"""An operation in progress: yields orders, receives replies, returns ``T``."""


class Page:
    """One page of a list: ``records`` and the opaque ``cursor`` of the next page, parsed lazily."""

    __slots__ = ("_parse", "_parsed", "reply")

    def __init__(
        self, reply: Reply, parse: Callable[[Reply], tuple[list[Record], str | None]]
    ) -> None:
        self.reply = reply
        self._parse = parse
        self._parsed: tuple[list[Record], str | None] | None = None

    def _look(self) -> tuple[list[Record], str | None]:
        if self._parsed is None:
            self._parsed = self._parse(self.reply)
        return self._parsed

    @property
    def records(self) -> list[Record]:
        return self._look()[0]

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; None on the last one."""
        return self._look()[1]


class One:
    """One record of an answer, parsed when a field is looked at."""

    __slots__ = ("_parse", "_record", "reply")

    def __init__(self, reply: Reply, parse: Callable[[Reply], Record]) -> None:
        self.reply = reply
        self._parse = parse
        self._record: Record | None = None

    @property
    def record(self) -> Record:
        if self._record is None:
            self._record = self._parse(self.reply)
        return self._record

    @property
    def id(self) -> str:
        return str(self.record["id"])

    def __getitem__(self, name: str) -> Any:
        return self.record[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.record.get(name, default)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is logged in, in the CRM's own words."""

    user_id: str
    username: str
    role: str


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field as the CRM's metadata describes it (``type``: text, number, date, time, bool).

    ``references`` is the neutral name of the entity whose ids it holds, where that is known.
    """

    name: str
    type: str
    required: bool = False
    unique: bool = False
    max_length: int | None = None
    values: tuple[str, ...] = ()
    references: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of every row of a bulk import: ids in row order, rejected rows with reasons.

    ``rejected`` holds (1-based data row, field or "", reason).
    """

    imported: int
    ids: tuple[str, ...]
    rejected: tuple[tuple[int, str, str], ...]


@runtime_checkable
class Connector(Protocol):
    """What every CRM can do.  ``entity`` is a neutral name of :mod:`crmops.model`."""

    name: str
    target: Target

    def classify(self, reply: Reply) -> CallFailed | None:
        """The problem that a reply stands for in this dialect, or None if it is good."""

    def auth_headers(self) -> Mapping[str, str]:
        """Headers that the person's session adds to every call; empty before login."""

    def login(self, username: str, password: str) -> Talk[Identity]: ...

    def logout(self) -> Talk[None]: ...

    def whoami(self) -> Talk[Identity]: ...

    def list(
        self,
        entity: str,
        *,
        limit: int = 20,
        cursor: str | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Talk[Page]:
        """One page; ``where`` holds equal-to filters, ``{"owner": "me"}`` among them."""

    def get(self, entity: str, record_id: str) -> Talk[One]: ...

    def search(self, entity: str, text: str, *, limit: int = 20) -> Talk[Page]: ...

    def create(
        self, entity: str, fields: Mapping[str, Any], *, allow_duplicate: bool = False
    ) -> Talk[One]:
        """The created record, at least its id.  A duplicate raises CallFailed(conflict)."""

    def update(self, entity: str, record_id: str, fields: Mapping[str, Any]) -> Talk[One]: ...

    def delete(self, entity: str, record_id: str) -> Talk[None]: ...


@runtime_checkable
class Converts(Protocol):
    """Can turn a lead into account, contact and (if wanted) deal; returns their ids by entity."""

    def convert_lead(
        self, lead_id: str, deal: Mapping[str, Any] | None = None
    ) -> Talk[dict[str, str]]: ...


@runtime_checkable
class Reports(Protocol):
    """Has a pipeline report: rows of key, count and amount."""

    def pipeline(self, by: str = "stage") -> Talk[list[Record]]: ...


@runtime_checkable
class Exports(Protocol):
    """Can export a whole entity; returns the number of rows (header excluded)."""

    def export(self, entity: str) -> Talk[int]: ...


@runtime_checkable
class Imports(Protocol):
    """Can take many records at once; every row is imported or named with its reason."""

    def bulk_import(self, entity: str, rows: Iterable[Mapping[str, Any]]) -> Talk[ImportReport]: ...


@runtime_checkable
class Describes(Protocol):
    """Can describe an entity's fields."""

    def describe(self, entity: str) -> Talk[tuple[FieldInfo, ...]]: ...


@runtime_checkable
class Feeds(Protocol):
    """Can say what changed and what was deleted since a moment (ISO 8601, UTC)."""

    def modified_since(self, entity: str, since: str, cursor: str | None = None) -> Talk[Page]: ...

    def deleted_since(self, entity: str, since: str, cursor: str | None = None) -> Talk[Page]: ...


@dataclass(frozen=True, slots=True)
class Span:
    """What the server did for one request: ``name`` is its route or query, never data.

    ``database_calls`` and ``database_seconds`` are None where the server does not count them.
    """

    name: str
    seconds: float
    database_calls: int | None = None
    database_seconds: float | None = None


@runtime_checkable
class Spans(Protocol):
    """Can say what it did for a request, by the trace id that the request carried."""

    def spans(self, trace_id: str) -> Talk[tuple[Span, ...]]: ...


@runtime_checkable
class Counts(Protocol):
    """Can say how many records of an entity there are, of those that its login may see."""

    def count(self, entity: str) -> Talk[int]: ...


@runtime_checkable
class KeepsCookies(Protocol):
    """Its sessions live in cookies: whoever drives it keeps them from one call to the next."""

    uses_cookies: bool


def ask(connector: Connector, call: Call) -> Talk[Reply]:
    """Send one call and return its reply, or raise the problem it stands for."""
    reply = yield call
    if reply is None:
        raise TypeError("a driver must answer a Call with a Reply")
    problem = connector.classify(reply)
    if problem is not None:
        raise problem
    return reply
