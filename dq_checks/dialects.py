"""The few SQL constructs that engines spell differently, each with one meaning everywhere.

Text is compared by code point on PostgreSQL and SQLite: letter case, accents and trailing spaces
tell values apart.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

BLANKS = " \t\r\n\u3000\u00a0"
"""White space: space, tab, line ends, ideographic and no-break space."""

HASHES = 1 << 28
"""So many different values has :func:`hashed`."""

SHAPES = (
    ("[^ -~]", "文"), ("[0-9]", "9"), ("[A-Z]", "A"), ("[a-z]", "a"), (r"([9Aa文])\1+", r"\1+"),
)  # fmt: skip
"""What becomes of a text's characters, one replacement after the other."""

SHAPE_LENGTH = 40


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


class Characters(FunctionElement[int]):
    """How many characters a text has."""

    type = sa.Integer()
    inherit_cache = True
    name = "characters"


class Day(FunctionElement[Any]):
    """The day of a time."""

    type = sa.Date()
    inherit_cache = True
    name = "day_of"


class Hashed(FunctionElement[int]):
    """The first 28 bits of the MD5 of a text."""

    type = sa.Integer()
    inherit_cache = True
    name = "hashed"


class Shape(FunctionElement[str]):
    """What a text looks like."""

    type = sa.String()
    inherit_cache = True
    name = "shape_of"


class Position(FunctionElement[int]):
    """Where a character first stands in a text, from 1; 0 if it does not."""

    type = sa.Integer()
    inherit_cache = True
    name = "position_of"


def trimmed(value: ColumnElement[Any]) -> ColumnElement[str]:
    """The text without white space at its ends."""
    return cast("ColumnElement[str]", Trimmed(value))


def full_match(value: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    """Whether the pattern matches the whole text."""
    return cast("ColumnElement[bool]", FullMatch(value, sa.literal(pattern)))


def position(haystack: str, needle: ColumnElement[Any]) -> ColumnElement[int]:
    """Where the one character of ``needle`` stands in ``haystack``."""
    return cast("ColumnElement[int]", Position(sa.literal(haystack), needle))


def characters(value: ColumnElement[Any]) -> ColumnElement[int]:
    """The number of characters of the text."""
    return cast("ColumnElement[int]", Characters(value))


def hashed(value: ColumnElement[Any]) -> ColumnElement[int]:
    """A number from 0 to below HASHES that depends on nothing but the text."""
    return cast("ColumnElement[int]", Hashed(value))


def shape(value: ColumnElement[Any]) -> ColumnElement[str]:
    """What a text looks like, at most 40 characters: 9 for digits, A and a for letters, 文 for
    anything beyond ASCII, + after what repeats; ``Li.Na@x.cn`` is ``Aa.Aa@a.a+``."""
    return cast("ColumnElement[str]", Shape(value))


def day(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """The day of a time, in UTC."""
    return cast("ColumnElement[Any]", Day(value))


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


@compiles(FullMatch)
def _full_match(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(next(iter(element.clauses)), **kw)
    return f"({text} REGEXP {_bound(compiler, _pattern(element), **kw)})"


@compiles(FullMatch, "postgresql")
def _full_match_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(next(iter(element.clauses)), **kw)
    return f"({text} ~ {_bound(compiler, f'^({_pattern(element)})$', **kw)})"


def _pattern(element: Any) -> str:
    return str(list(element.clauses)[1].value)


@compiles(Day)
def _day(element: Any, compiler: Any, **kw: Any) -> str:
    return f"date({_arguments(element, compiler, **kw)[0]})"


@compiles(Day, "postgresql")
def _day_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST({_arguments(element, compiler, **kw)[0]} AS DATE)"


@compiles(Characters)
def _characters(element: Any, compiler: Any, **kw: Any) -> str:
    return f"length({_arguments(element, compiler, **kw)[0]})"


@compiles(Position)
def _position(element: Any, compiler: Any, **kw: Any) -> str:
    haystack, needle = _arguments(element, compiler, **kw)
    return f"instr({haystack}, {needle})"


@compiles(Position, "postgresql")
def _position_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    haystack, needle = _arguments(element, compiler, **kw)
    return f"strpos({haystack}, {needle})"


@compiles(Hashed)
def _hashed(element: Any, compiler: Any, **kw: Any) -> str:
    return f"hashed({_arguments(element, compiler, **kw)[0]})"


@compiles(Hashed, "postgresql")
def _hashed_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text = _arguments(element, compiler, **kw)[0]
    return f"CAST(CAST('x' || substr(md5({text}), 1, 7) AS bit(28)) AS integer)"


@compiles(Shape)
def _shape(element: Any, compiler: Any, **kw: Any) -> str:
    return f"shape_of({_arguments(element, compiler, **kw)[0]})"


@compiles(Shape, "postgresql")
def _shape_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text = f'({_arguments(element, compiler, **kw)[0]}) COLLATE "C"'
    for pattern, by in SHAPES:
        found, put = (_bound(compiler, each, **kw) for each in (pattern, by))
        text = f"regexp_replace({text}, {found}, {put}, 'g')"
    return f"left({text}, {SHAPE_LENGTH})"
