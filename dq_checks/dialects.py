"""The few SQL constructs that engines spell differently, each with one meaning everywhere.

Text is compared by code point everywhere: letter case, accents and trailing spaces tell values
apart.  Here are PostgreSQL's and SQLite's spellings; MariaDB's and Spark's have modules beside it.
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


class HasText(FunctionElement[bool]):
    """Whether a text has anything but white space."""

    type = sa.Boolean()
    inherit_cache = True
    name = "has_text"


class Stripped(FunctionElement[str]):
    """A text without white space at its ends."""

    type = sa.String()
    inherit_cache = True
    name = "stripped"


class Folded(FunctionElement[str]):
    """A text with a to z for A to Z, and nothing else changed."""

    type = sa.String()
    inherit_cache = True
    name = "folded"


class Ranked(FunctionElement[str]):
    """A text that ``<`` compares by code point, whatever the database's language."""

    type = sa.String()
    inherit_cache = True
    name = "ranked"


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


def has_text(value: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the text has anything but white space; null of null."""
    return cast("ColumnElement[bool]", HasText(value))


def stripped(value: ColumnElement[Any]) -> ColumnElement[str]:
    """The text without white space at its ends."""
    return cast("ColumnElement[str]", Stripped(value))


def folded(value: ColumnElement[Any]) -> ColumnElement[str]:
    """The text with a to z for A to Z.

    Other letters stay: engines and locales disagree about their lower case (İ, ẞ, Σ)."""
    return cast("ColumnElement[str]", Folded(value))


def ranked(value: ColumnElement[Any]) -> ColumnElement[str]:
    """The text, to be compared by code point."""
    return cast("ColumnElement[str]", Ranked(value))


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


def arguments(element: Any, compiler: Any, **kw: Any) -> list[str]:
    """An element's arguments as SQL."""
    return [compiler.process(each, **kw) for each in element.clauses]


def bound(compiler: Any, value: str, **kw: Any) -> str:
    """A value as a parameter of the statement."""
    return str(compiler.process(sa.literal(value), **kw))


@compiles(HasText)
def _has_text(element: Any, compiler: Any, **kw: Any) -> str:
    text, blanks = arguments(element, compiler, **kw)[0], bound(compiler, BLANKS, **kw)
    return f"(trim({text}, {blanks}) <> '')"


@compiles(HasText, "postgresql")
def _has_text_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text, blanks = arguments(element, compiler, **kw)[0], bound(compiler, BLANKS, **kw)
    return f"(btrim({text}, {blanks}) <> '')"


@compiles(Stripped)
def _stripped(element: Any, compiler: Any, **kw: Any) -> str:
    text, blanks = arguments(element, compiler, **kw)[0], bound(compiler, BLANKS, **kw)
    return f"trim({text}, {blanks})"


@compiles(Stripped, "postgresql")
def _stripped_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text, blanks = arguments(element, compiler, **kw)[0], bound(compiler, BLANKS, **kw)
    return f"btrim({text}, {blanks})"


@compiles(Folded)
def _folded(element: Any, compiler: Any, **kw: Any) -> str:
    return f"lower({arguments(element, compiler, **kw)[0]})"


@compiles(Folded, "postgresql")
def _folded_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f'lower(({arguments(element, compiler, **kw)[0]}) COLLATE "C")'


@compiles(Ranked)
def _ranked(element: Any, compiler: Any, **kw: Any) -> str:
    return arguments(element, compiler, **kw)[0]


@compiles(Ranked, "postgresql")
def _ranked_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f'({arguments(element, compiler, **kw)[0]}) COLLATE "C"'


@compiles(FullMatch)
def _full_match(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(next(iter(element.clauses)), **kw)
    return f"({text} REGEXP {bound(compiler, pattern_of(element), **kw)})"


@compiles(FullMatch, "postgresql")
def _full_match_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(next(iter(element.clauses)), **kw)
    return f"({text} ~ {bound(compiler, f'^({pattern_of(element)})$', **kw)})"


def pattern_of(element: Any) -> str:
    """The pattern of a :class:`FullMatch`, to be written as an engine wants it."""
    return str(list(element.clauses)[1].value)


@compiles(Day)
def _day(element: Any, compiler: Any, **kw: Any) -> str:
    return f"date({arguments(element, compiler, **kw)[0]})"


@compiles(Day, "postgresql")
def _day_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST({arguments(element, compiler, **kw)[0]} AS DATE)"


@compiles(Characters)
def _characters(element: Any, compiler: Any, **kw: Any) -> str:
    return f"length({arguments(element, compiler, **kw)[0]})"


@compiles(Position)
def _position(element: Any, compiler: Any, **kw: Any) -> str:
    haystack, needle = arguments(element, compiler, **kw)
    return f"instr({haystack}, {needle})"


@compiles(Position, "postgresql")
def _position_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    haystack, needle = arguments(element, compiler, **kw)
    return f"strpos({haystack}, {needle})"


@compiles(Hashed)
def _hashed(element: Any, compiler: Any, **kw: Any) -> str:
    return f"hashed({arguments(element, compiler, **kw)[0]})"


@compiles(Hashed, "postgresql")
def _hashed_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text = arguments(element, compiler, **kw)[0]
    return f"CAST(CAST('x' || substr(md5({text}), 1, 7) AS bit(28)) AS integer)"


@compiles(Shape)
def _shape(element: Any, compiler: Any, **kw: Any) -> str:
    return f"shape_of({arguments(element, compiler, **kw)[0]})"


@compiles(Shape, "postgresql")
def _shape_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    text = f'({arguments(element, compiler, **kw)[0]}) COLLATE "C"'
    for pattern, by in SHAPES:
        found, put = (bound(compiler, each, **kw) for each in (pattern, by))
        text = f"regexp_replace({text}, {found}, {put}, 'g')"
    return f"left({text}, {SHAPE_LENGTH})"
