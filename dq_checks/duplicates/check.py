"""One record against all kept records of its kind."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from crmops.errors import CannotRun, UsageError
from dq_checks.duplicates.against import comparable, ids_of, reasons_of, store_place, stores_in
from dq_checks.duplicates.fields import FIELDS, Columns, Entity, map_columns
from dq_checks.duplicates.known import META, Known
from dq_checks.duplicates.match import Match, Matcher, Matches
from dq_checks.duplicates.prepare import block_of, prepare
from dq_checks.duplicates.store import scratch

POSSIBLE = 0.2
"""Probability from which a candidate is worth a look."""


class Checker:
    """Answers for many threads, one at a time."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._open: dict[str, _Store] = {}

    def check(
        self, entity: str, record: Mapping[str, str | None], limit: int = 5, except_id: str = ""
    ) -> dict[str, Any]:
        """Who the record may be.

        ``answer``: ``likely``, ``possible``, ``none``, or ``unknown`` where nothing could be
        compared.  Raises UsageError for the record, CannotRun if no such records are kept.
        """
        kind = "contact" if entity == "lead" else entity
        with self._lock:
            asked = [each for each in self._stores() if each.known.meta.entity == kind]
            if not asked:
                raise CannotRun(
                    f"no {kind}s are kept to compare with",
                    hint="Keep some: crmops dq duplicates FILE --keep NAME.",
                )
            answers = [each.ask(record, except_id) for each in asked]
        return _together(answers, limit)

    def _stores(self) -> list[_Store]:
        """Every store, opened anew when it was made anew."""
        names = stores_in(self._state_dir)
        for gone in set(self._open) - set(names):
            self._open.pop(gone).close()
        for name in names:
            place = store_place(self._state_dir, name)
            found = self._open.get(name)
            if found is None or found.stamp != _stamp(place):
                if found is not None:
                    self._open.pop(name).close()
                self._open[name] = _opened(name, place)
        return [self._open[name] for name in names]


def _opened(name: str, place: Path) -> _Store:
    try:
        return _Store(name, place)
    except UsageError as error:  # not of whoever asks
        raise CannotRun(str(error), hint=error.hint) from error


def _stamp(place: Path) -> tuple[int, int]:
    try:
        found = (place / META).stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


class _Store:
    """A store and a database of its own to compare in."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.stamp = _stamp(place)
        self.known = Known(place)
        self._held = ExitStack()
        self._matcher = Matcher(self._held.enter_context(scratch()), self.known)

    def close(self) -> None:
        """Let go of the database."""
        self._held.close()

    def ask(self, record: Mapping[str, str | None], except_id: str) -> dict[str, Any]:
        """Candidates of one store, and whether anything could be compared."""
        import pyarrow as pa

        meta = self.known.meta
        columns = _columns(record, meta.entity)
        cells = [value or "" for value in record.values()]
        made = pa.table(prepare(block_of([cells], columns.at), meta.entity, meta.script))
        found = self._matcher.match(made)
        pairs = [each for each in found.pairs if each.probability >= POSSIBLE]
        ids = ids_of(self.known, pairs)
        candidates = [
            self._candidate(each, ids[each.other]) for each in pairs if ids[each.other] != except_id
        ]
        return {
            "candidates": candidates,
            "why_unknown": _why_unknown(found, comparable(made), self.known.rows),
            "known": {self.name: {"records": meta.rows, "id": meta.id}},
        }

    def _candidate(self, match: Match, id_: str) -> dict[str, Any]:
        model = self.known.model
        return {
            "store": self.name,
            "id": id_,
            "probability": round(match.probability, 6),
            "likely": match.probability >= model.threshold,
            "reasons": [
                {"field": each.field, "what": each.what, "bits": each.bits}
                for each in reasons_of(model, match)
            ],
        }


def _columns(record: Mapping[str, str | None], entity: Entity) -> Columns:
    """Which value is which field, by the names that files have as headings."""
    try:
        return map_columns(Path("record"), list(record), entity, ())
    except UsageError as error:
        raise UsageError(
            f"the record has no field that {entity}s are compared by",
            hint=f"There are: {', '.join(FIELDS[entity])}.",
        ) from error


def _why_unknown(found: Matches, told: int, known: int) -> str:
    """Why finding nobody would say nothing; else empty."""
    if not known:
        return "no records are known"
    if not told:
        return "the record holds nothing to compare"
    if not found.looked and found.crowd:
        return f"what the record holds is shared by {found.crowd - 1} others; enter more of it"
    return ""


def _together(answers: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    candidates = sorted(
        (each for answer in answers for each in answer["candidates"]),
        key=lambda each: (-each["probability"], each["store"], each["id"]),
    )
    whys = [each["why_unknown"] for each in answers if each["why_unknown"]]
    word = "unknown" if whys else "none"
    if candidates:
        word = "likely" if any(each["likely"] for each in candidates) else "possible"
    return {
        "answer": word,
        "reason": "" if candidates or not whys else whys[0],
        "candidates": candidates[:limit],
        "known": {name: told for each in answers for name, told in each["known"].items()},
    }
