"""Counting terms over a table: in one statement, or slice by slice with pauses and a ledger."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crmops import __version__
from dq_checks.conditions import Term
from dq_checks.expressions import expression
from dq_checks.messages import Ledger, Page
from dq_checks.worker.slices import WHOLE, Slice, Source, slices, source

if TYPE_CHECKING:
    from dq_checks.worker.engine import AuditEngine

Group = tuple[Any, ...]
Tallied = dict[Group, list[int]]

MOST_KEPT = 1_000_000
"""So many numbers of one kind go into a ledger at most; what has more is counted every time."""

_JSON = (int, str, type(None))
_VOLATILE = {"since", "sql"}
"""Terms that may be true of another number of rows although no row has changed."""


class Tally:
    """Counts for one engine; ``again`` are the slices that were counted anew.

    ``ledger``: what the last audit counted, when unchanged slices are not to be counted again.
    """

    def __init__(self, engine: AuditEngine, width: int, ledger: Ledger | None) -> None:
        self._engine = engine
        self._known = ledger
        self._source: Source | None = source(engine) if ledger is not None else None
        sliced = engine.gentle or self._source is not None
        self._slices = slices(engine, width) if sliced else [WHOLE]
        self._pages: dict[str, dict[str, Page]] = {}
        self._size: Counter[str] = Counter()
        self.again: set[Slice] = set()

    @property
    def parts(self) -> list[Slice]:
        """What one statement may look at."""
        return self._slices if self._engine.gentle else [WHOLE]

    @property
    def said(self) -> bool:
        """Whether somebody says what changed."""
        return self._source is not None

    @property
    def slices(self) -> int:
        """In how many slices the table is looked at."""
        return len(self._slices)

    def ledger(self) -> Ledger | None:
        """What was counted now, for the next audit."""
        return Ledger(sections=self._pages) if self._source is not None else None

    def count(
        self, terms: Sequence[Term], by: Sequence[sa.Label[Any]] = (), most: int | None = None
    ) -> Tallied:
        """How many rows meet each term, for each group; without ``by`` the one group is ``()``.

        With more than ``most`` groups there are just more than that.  Raises SQLAlchemyError.
        """
        if self._source is None:
            total = self._sum(terms, by, most, keep=False)
        else:
            total = self._lasting_and_passing(terms, by, most)
        if not by:
            total.setdefault((), [0] * len(terms))
        return total

    def _lasting_and_passing(
        self, terms: Sequence[Term], by: Sequence[sa.Label[Any]], most: int | None
    ) -> Tallied:
        """Terms that stay true of a row that stays as it is come from the ledger where they can."""
        total: Tallied = {}
        named = {json.dumps(each, ensure_ascii=False): each for each in terms}
        for keep in (True, False):
            # in an order of their own, for nobody promises us that of the metrics
            wanted = sorted(name for name, each in named.items() if volatile(each) is not keep)
            if not wanted:
                continue
            found = self._sum([named[each] for each in wanted], by, most, keep=keep)
            for group, numbers in found.items():
                counts = dict(zip(wanted, numbers, strict=True))
                line = total.setdefault(group, [0] * len(terms))
                for at, each in enumerate(terms):
                    line[at] = counts.get(json.dumps(each, ensure_ascii=False), line[at])
        return total

    def once(self, what: str, count: Callable[[], dict[str, int]]) -> dict[str, int]:
        """What ``count()`` counts over the whole table; not counted again if no row changed."""
        if self._source is None:
            return count()
        section = self._section("once", [what], ())
        seal = "|".join(f"{each.name}={self._source.seal(each)}" for each in self._slices)
        seal = hashlib.sha256(seal.encode()).hexdigest()
        page = self._page(section, WHOLE, seal)
        if page is None:
            found = count()
            page = Page(seal=seal, groups=((tuple(found), tuple(found.values())),))
        self._keep(section, WHOLE, page)
        names, numbers = page.groups[0]
        return dict(zip(map(str, names), numbers, strict=True))

    def _sum(
        self, terms: Sequence[Term], by: Sequence[sa.Label[Any]], most: int | None, *, keep: bool
    ) -> Tallied:
        total: Tallied = {}
        section = self._section("terms", terms, by)
        for number, part in enumerate(self._slices):
            self._engine.advance(number, len(self._slices))
            if keep:
                found = self._kept(part, section, terms, by, most)
            else:
                found = self._ask(part, terms, by, most)
            for group, numbers in found.items():
                line = total.setdefault(group, [0] * len(terms))
                for at, each in enumerate(numbers):
                    line[at] += each
        return total

    def _kept(
        self,
        part: Slice,
        section: str,
        terms: Sequence[Term],
        by: Sequence[sa.Label[Any]],
        most: int | None,
    ) -> Tallied:
        """The counts of a slice: those of the ledger if it has not changed."""
        seal = self._source.seal(part) if self._source else ""
        page = self._page(section, part, seal)
        if page is None:
            self.again.add(part)
            found = self._ask(part, terms, by, most)
            if any(type(each) not in _JSON for group in found for each in group):
                return found  # a key that JSON would give back as something else
            page = Page(seal=seal, groups=tuple((g, tuple(each)) for g, each in found.items()))
        self._keep(section, part, page)
        return {group: list(numbers) for group, numbers in page.groups}

    def _keep(self, section: str, part: Slice, page: Page) -> None:
        pages = self._pages.setdefault(section, {})
        self._size[section] += sum(len(numbers) for _, numbers in page.groups)
        if self._size[section] > MOST_KEPT:
            pages.clear()
        else:
            pages[part.name] = page

    def _page(self, section: str, part: Slice, seal: str) -> Page | None:
        pages = (self._known or Ledger()).sections.get(section, {})
        page = pages.get(part.name)
        return page if page is not None and page.seal == seal else None

    def _ask(
        self, part: Slice, terms: Sequence[Term], by: Sequence[sa.Label[Any]], most: int | None
    ) -> Tallied:
        engine = self._engine
        sums = [_number_of(each, engine) for each in terms]
        keys = [each.element for each in by if not isinstance(each.element, sa.Null)]
        query = sa.select(*by, *sums).select_from(engine.table.source)
        if part is not WHOLE:
            query = query.where(part.where(engine.suite.key))
        if keys:
            query = query.group_by(*keys).limit(None if most is None else most + 1)
        rows = engine.execute_query(query).all()
        size = len(by)
        return {tuple(row[:size]): [int(each) for each in row[size:]] for row in rows}

    def _section(self, kind: str, terms: Sequence[Any], by: Sequence[sa.Label[Any]]) -> str:
        suite = self._engine.suite
        about = [
            __version__, kind, terms, [str(each) for each in by],
            self._source and self._source.identity, suite.table_schema, suite.table, suite.key,
            [each.model_dump(mode="json") for each in suite.only],
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(about, ensure_ascii=False).encode()).hexdigest()[:32]


def volatile(term: Term) -> bool:
    """Whether it depends on more than the row: on the time of the audit, or on other tables."""
    return term[0] in _VOLATILE or (term[0] == "and" and any(map(volatile, term[1:])))


def _number_of(term: Term, engine: AuditEngine) -> sa.ColumnElement[int]:
    if term == ["all"]:
        return sa.func.count()
    # count(CASE ..) and not FILTER: every engine has it, and an empty table gives 0
    return sa.func.count(sa.case((expression(term, engine.table.kinds), 1)))
