"""Which operation a request of the log is, by the connector's own paths or by a map.

The connector is asked for the call of every operation that it has; the call's path with the
record's id taken out is the pattern.  Operations are named ``<plural>.<verb>``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crmops.config.reader import read_document
from crmops.connectors.base import Connector
from crmops.errors import ConfigError
from crmops.model import PLURALS
from crmops.wire import Call

ID, TEXT = "0crmopsid0", "0crmopstext0"
IGNORE = "ignore"
VERBS = ("list", "get", "search", "create", "update", "delete", "export")
OTHERS = ("login", "logout", "whoami", "leads.convert", "reports.pipeline")
_HOLE = re.compile(r"\{[a-z_]+\}|\*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One operation's requests: a method, a path, and the query that it comes with."""

    operation: str
    method: str
    path: re.Pattern[str]
    literal: int
    query: tuple[tuple[str, str], ...] = ()

    def rank(self, query: Mapping[str, str]) -> tuple[int, int]:
        """How well a request with a fitting path and this query fits: more is better."""
        score = 0
        for name, value in self.query:
            score += (2 if query[name] == value else 1) if name in query else -1
        return self.literal, score


class Paths:
    """All patterns; those of a map come before those of the connector."""

    def __init__(self, mapped: list[Pattern], known: list[Pattern], prefix: str) -> None:
        self._mapped, self._known, self._prefix = mapped, known, prefix.rstrip("/")

    def operation(self, method: str, target: str) -> str | None:
        """The operation of a request, ``ignore``, or None if it is none that we know."""
        parts = urlsplit(target)
        if self._prefix and parts.path.startswith(f"{self._prefix}/"):
            parts = parts._replace(path=parts.path.removeprefix(self._prefix))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        for patterns in (self._mapped, self._known):
            fits = [
                each
                for each in patterns
                if each.method in (method, "*") and each.path.fullmatch(parts.path)
            ]
            if fits:
                return max(fits, key=lambda each: each.rank(query)).operation
        return None


def paths_of(connector: Connector, map_file: Path | None) -> Paths:
    """The patterns of a connector and of a map file.  Raises ConfigError for a bad map."""
    mapped = read_map(map_file) if map_file else []
    return Paths(mapped, list(_known(connector)), urlsplit(connector.target.url).path)


def operations() -> list[str]:
    """Every operation's name."""
    return [*OTHERS, *(f"{plural}.{verb}" for plural in PLURALS.values() for verb in VERBS)]


def read_map(path: Path) -> list[Pattern]:
    """The patterns in a YAML file of lines such as ``GET /crm/contact/{id}: contacts.get``.

    ``{id}`` stands for one segment, ``*`` for anything, ``* /path`` for any method.
    """
    document = read_document(path, str(path))
    known = {*operations(), IGNORE}
    found = []
    for request, operation in document.values.items():
        where = document.where((request,))
        words = str(request).split()
        if len(words) != 2 or not words[1].startswith(("/", "*")):
            raise ConfigError(
                f"{request!r} is no request",
                where=where,
                hint="Write a method and a path: GET /contact/{id}.",
            )
        if operation not in known:
            near = difflib.get_close_matches(str(operation), known, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"there is no operation {operation!r}",
                where=where,
                hint=f"{hint}Write a plural and a verb ({', '.join(VERBS)}), or ignore.",
            )
        found.append(_pattern(str(operation), words[0].upper(), words[1]))
    return found


def _pattern(operation: str, method: str, path: str) -> Pattern:
    literals = _HOLE.split(path)
    holes = [".*" if hole == "*" else "[^/]+" for hole in _HOLE.findall(path)]
    text = re.escape(literals[0])
    for hole, literal in zip(holes, literals[1:], strict=True):
        text += hole + re.escape(literal)
    return Pattern(operation, method, re.compile(text), sum(map(len, literals)))


def _known(connector: Connector) -> Iterator[Pattern]:
    yield Pattern("logout", "*", re.compile(r".*/(log|sign)-?_?out/?", re.IGNORECASE), 0)
    for operation, ask, *arguments in _questions():
        call = _first_call(connector, ask, arguments)
        if call is not None:
            yield _of_call(operation, call)


def _of_call(operation: str, call: Call) -> Pattern:
    parts = urlsplit(call.path)
    made = _pattern(operation, call.method, parts.path.replace(ID, "{id}").replace(TEXT, "{id}"))
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    return Pattern(operation, call.method, made.path, made.literal, query)


def _questions() -> Iterator[tuple[Any, ...]]:
    """Every operation with the connector's method for it and the arguments that it wants.

    A logout is not asked for: without a session there is none.
    """
    yield "login", "login", "somebody", "x"
    yield "whoami", "whoami"
    yield "leads.convert", "convert_lead", ID
    yield "reports.pipeline", "pipeline", "stage"
    for entity, plural in PLURALS.items():
        yield f"{plural}.list", "list", entity
        yield f"{plural}.get", "get", entity, ID
        yield f"{plural}.search", "search", entity, TEXT
        yield f"{plural}.create", "create", entity, {"name": TEXT}
        yield f"{plural}.update", "update", entity, ID, {"name": TEXT}
        yield f"{plural}.delete", "delete", entity, ID
        yield f"{plural}.export", "export", entity
        yield f"{plural}.import", "bulk_import", entity, [{"name": TEXT}]


def _first_call(connector: Connector, ask: str, arguments: list[Any]) -> Call | None:
    """The first call of an operation; None if the connector cannot do it.

    A connector says so in its own way (a missing power, an unknown entity, a session that it
    does not have yet), and none of them is a reason to stop here.
    """
    try:
        talk = getattr(connector, ask)(*arguments)
        try:
            order = next(talk)
        finally:
            talk.close()
    except Exception:
        return None
    return order if isinstance(order, Call) else None
