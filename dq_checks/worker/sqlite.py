"""What SQLite lacks beside PostgreSQL: regular expressions and hashes."""

from __future__ import annotations

import functools
import hashlib
import re
import sqlite3
from typing import Any

from dq_checks.dialects import SHAPE_LENGTH, SHAPES

_compiled = functools.lru_cache(maxsize=256)(re.compile)


def prepare(connection: sqlite3.Connection, _record: Any) -> None:
    """Give a new connection our functions, and forbid it to write."""
    connection.create_function("regexp", 2, _matches, deterministic=True)
    connection.create_function("hashed", 1, _hashed, deterministic=True)
    connection.create_function("shape_of", 1, _shape, deterministic=True)
    connection.execute("pragma query_only = on")


def _matches(pattern: str, value: object) -> bool | None:
    # as in PostgreSQL, a dot is any character, line ends included
    return (
        None if value is None else _compiled(pattern, re.DOTALL).fullmatch(str(value)) is not None
    )


def _hashed(value: str | None) -> int | None:
    if value is None:
        return None
    return int(hashlib.md5(str(value).encode(), usedforsecurity=False).hexdigest()[:7], 16)


def _shape(value: str | None) -> str | None:
    if value is None:
        return None
    text = str(value)
    for pattern, by in SHAPES:
        text = _compiled(pattern).sub(by, text)
    return text[:SHAPE_LENGTH]
