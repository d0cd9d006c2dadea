"""How Spark SQL spells what :mod:`dq_checks.dialects` means."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles

from dq_checks.dialects import (
    BLANKS,
    Characters,
    Day,
    Folded,
    FullMatch,
    Hashed,
    HasText,
    Stripped,
    arguments,
    bound,
    pattern_of,
)

NAME = "spark"
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@compiles(HasText, NAME)
def _has_text(element: Any, compiler: Any, **kw: Any) -> str:
    blanks = bound(compiler, BLANKS, **kw)
    return f"(trim(BOTH {blanks} FROM {arguments(element, compiler, **kw)[0]}) <> '')"


@compiles(Stripped, NAME)
def _stripped(element: Any, compiler: Any, **kw: Any) -> str:
    blanks = bound(compiler, BLANKS, **kw)
    return f"trim(BOTH {blanks} FROM {arguments(element, compiler, **kw)[0]})"


@compiles(Folded, NAME)
def _folded(element: Any, compiler: Any, **kw: Any) -> str:
    text = arguments(element, compiler, **kw)[0]
    return f"translate({text}, '{_UPPER}', '{_UPPER.lower()}')"


@compiles(FullMatch, NAME)
def _full_match(element: Any, compiler: Any, **kw: Any) -> str:
    text = compiler.process(next(iter(element.clauses)), **kw)
    # $ would also match before a line end that is the last character
    pattern = rf"(?s)\A(?:{pattern_of(element)})\z"
    return f"({text} RLIKE {bound(compiler, pattern, **kw)})"


@compiles(Day, NAME)
def _day(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST({arguments(element, compiler, **kw)[0]} AS DATE)"


@compiles(Characters, NAME)
def _characters(element: Any, compiler: Any, **kw: Any) -> str:
    return f"char_length({arguments(element, compiler, **kw)[0]})"


@compiles(Hashed, NAME)
def _hashed(element: Any, compiler: Any, **kw: Any) -> str:
    digits = f"substr(md5(CAST({arguments(element, compiler, **kw)[0]} AS BINARY)), 1, 7)"
    return f"CAST(conv({digits}, 16, 10) AS INT)"
