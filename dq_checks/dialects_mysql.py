"""How MariaDB and MySQL spell what :mod:`dq_checks.dialects` means.

Their texts compare without regard to case and trailing blanks by default, so every text column of
an audited table is read through :func:`exact` first; the rest follows from that.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from dq_checks.dialects import (
    BLANKS,
    SHAPE_LENGTH,
    SHAPES,
    Characters,
    Folded,
    FullMatch,
    Hashed,
    HasText,
    Position,
    Shape,
    Stripped,
    arguments,
    bound,
    pattern_of,
)

NAMES = ("mysql", "mariadb")
"""What SQLAlchemy calls the two."""


class Exact(FunctionElement[str]):
    """A text in UTF-8 that compares by code point, trailing blanks included."""

    type = sa.String()
    inherit_cache = True
    name = "exact"


def exact(value: ColumnElement[Any]) -> ColumnElement[str]:
    """The text of a column, whatever its character set and collation."""
    return cast("ColumnElement[str]", Exact(value))


@compiles(Exact)
def _exact_elsewhere(element: Any, compiler: Any, **kw: Any) -> str:
    return arguments(element, compiler, **kw)[0]


@compiles(Exact, *NAMES)
def _exact(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(next(iter(element.clauses)), **kw)
    return f"(CONVERT({text} USING utf8mb4) COLLATE {collation(compiler.dialect)})"


def collation(dialect: Any) -> str:
    """The collation that compares by code point and does not pad."""
    return "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"


@compiles(HasText, *NAMES)
def _has_text(element: Any, compiler: Any, **kw: Any) -> str:
    return f"({_like(arguments(element, compiler, **kw)[0], f'[^{BLANKS}]', compiler, **kw)})"


@compiles(Stripped, *NAMES)
def _stripped(element: Any, compiler: Any, **kw: Any) -> str:
    ends = bound(compiler, rf"\A[{BLANKS}]+|[{BLANKS}]+\z", **kw)
    return f"REGEXP_REPLACE({_exact(element, compiler, **kw)}, {ends}, '')"


@compiles(FullMatch, *NAMES)
def _full_match(element: Any, compiler: Any, **kw: Any) -> str:
    text = _exact(element, compiler, **kw)
    # $ would also match before a line end that is the last character
    pattern = rf"(?s)\A(?:{pattern_of(element)})\z"
    return f"({_like(text, pattern, compiler, **kw)})"


def _like(text: str, pattern: str, compiler: Any, **kw: Any) -> str:
    if compiler.dialect.is_mariadb:
        return f"{text} REGEXP {bound(compiler, pattern, **kw)}"
    return f"REGEXP_LIKE({text}, {bound(compiler, pattern, **kw)}, 'c')"


@compiles(Folded, *NAMES)
def _folded(element: Any, compiler: Any, **kw: Any) -> str:
    # LOWER knows more letters than A to Z, but none beyond them in what is taken for Hebrew
    text = _exact(element, compiler, **kw)
    return f"CAST(LOWER(CONVERT(CAST({text} AS BINARY) USING hebrew)) AS BINARY)"


@compiles(Characters, *NAMES)
def _characters(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CHAR_LENGTH({arguments(element, compiler, **kw)[0]})"


@compiles(Position, *NAMES)
def _position(element: Any, compiler: Any, **kw: Any) -> str:
    haystack, needle = arguments(element, compiler, **kw)
    return f"LOCATE({needle}, {haystack})"


@compiles(Hashed, *NAMES)
def _hashed(element: Any, compiler: Any, **kw: Any) -> str:
    digits = f"SUBSTR(MD5({_exact(element, compiler, **kw)}), 1, 7)"
    return f"CAST(CONV({digits}, 16, 10) AS SIGNED)"


@compiles(Shape, *NAMES)
def _shape(element: Any, compiler: Any, **kw: Any) -> str:
    text = _exact(element, compiler, **kw)
    for pattern, by in SHAPES:
        put = by if compiler.dialect.is_mariadb else by.replace("\\1", "$1")
        text = f"REGEXP_REPLACE({text}, {bound(compiler, pattern, **kw)}, "
        text += f"{bound(compiler, put, **kw)})"
    return f"LEFT({text}, {SHAPE_LENGTH})"
