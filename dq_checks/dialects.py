"""The few SQL constructs that engines spell differently, each with one meaning everywhere.

Text is compared by code point: letter case, accents and trailing spaces tell values apart,
whatever the collation of the database says.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

BLANKS = " \t\r\n\u3000\u00a0"
"""White space: space, tab, line ends, ideographic and no-break space."""


class Trimmed(FunctionElement[str]):
    """A text without white space at its ends."""

    type = sa.String()
    inherit_cache = True
    name = "trimmed"


class FullMatch(FunctionElement[bool]):
    """Whether a pattern matches the whole of a text: ``FullMatch(text, pattern)``."""

    type = sa.Boolean()
    inherit_cache = False  # the pattern is rewritten for each engine when compiled
    name = "full_match"


class Position(FunctionElement[int]):
    """Where a character first stands in a text, from 1; 0 if it does not."""

    type = sa.Integer()
    inherit_cache = True
    name = "position_of"


class Exact(FunctionElement[str]):
    """A text that compares by code point."""

    type = sa.String()
    inherit_cache = True
    name = "exact"


def trimmed(value: ColumnElement[Any]) -> ColumnElement[str]:
    """The text without white space at its ends."""
    return cast("ColumnElement[str]", Trimmed(value))


def full_match(value: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    """Whether the pattern matches the whole text."""
    return cast("ColumnElement[bool]", FullMatch(value, sa.literal(pattern)))


def position(haystack: str, needle: ColumnElement[Any]) -> ColumnElement[int]:
    """Where the one character of ``needle`` stands in ``haystack``."""
    return cast("ColumnElement[int]", Position(sa.literal(haystack), needle))


def exact(value: ColumnElement[Any]) -> ColumnElement[str]:
    """The text, compared by code point."""
    return cast("ColumnElement[str]", Exact(value))


def _arguments(element: Any, compiler: Any, **kw: Any) -> list[str]:
    return [compiler.process(each, **kw) for each in element.clauses]


def _bound(compiler: Any, value: str, **kw: Any) -> str:
    return str(compiler.process(sa.literal(value), **kw))


@compiles(Trimmed)
def _trimmed(element: Any, compiler: Any, **kw: Any) -> str:
    return f"trim({_arguments(element, compiler, **kw)[0]}, {_bound(compiler, BLANKS, **kw)})"


@compiles(Trimmed, "postgresql")
def _trimmed_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"btrim({_arguments(element, compiler, **kw)[0]}, {_bound(compiler, BLANKS, **kw)})"


@compiles(Trimmed, "mysql")
@compiles(Trimmed, "mariadb")
def _trimmed_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    ends = _bound(compiler, f"^[{BLANKS}]+|[{BLANKS}]+$", **kw)
    return f"regexp_replace({_arguments(element, compiler, **kw)[0]}, {ends}, '')"


@compiles(FullMatch)
def _full_match(element: Any, compiler: Any, **kw: Any) -> str:
    text, _ = _arguments(element, compiler, **kw)
    return f"({text} REGEXP {_bound(compiler, _pattern(element), **kw)})"


@compiles(FullMatch, "postgresql")
def _full_match_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(next(iter(element.clauses)), **kw)
    return f"({text} ~ {_bound(compiler, f'^({_pattern(element)})$', **kw)})"


@compiles(FullMatch, "mysql")
@compiles(FullMatch, "mariadb")
def _full_match_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(next(iter(element.clauses)), **kw)
    whole = _bound(compiler, rf"(?-i)^({_pattern(element)})\z", **kw)
    return f"({text} REGEXP {whole})"


def _pattern(element: Any) -> str:
    return str(list(element.clauses)[1].value)


@compiles(Position)
def _position(element: Any, compiler: Any, **kw: Any) -> str:
    haystack, needle = _arguments(element, compiler, **kw)
    return f"instr({haystack}, {needle})"


@compiles(Position, "postgresql")
def _position_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    haystack, needle = _arguments(element, compiler, **kw)
    return f"strpos({haystack}, {needle})"


@compiles(Position, "mysql")
@compiles(Position, "mariadb")
def _position_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    haystack, needle = _arguments(element, compiler, **kw)
    return f"locate(cast({needle} as binary), cast({haystack} as binary))"


@compiles(Exact)
def _exact(element: Any, compiler: Any, **kw: Any) -> str:
    return f"{_arguments(element, compiler, **kw)[0]} COLLATE BINARY"


@compiles(Exact, "postgresql")
def _exact_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return _arguments(element, compiler, **kw)[0]  # equality there is by bytes already


@compiles(Exact, "mysql")
@compiles(Exact, "mariadb")
def _exact_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"cast({_arguments(element, compiler, **kw)[0]} as binary)"
