"""The two small languages of a profile: places in a JSON document, and texts with placeholders.

A place is ``error.code`` or ``data.0.id``; with a leading ``/`` it is a JSON pointer (RFC 6901),
for keys that have dots in them: ``/@odata.nextLink``.  The empty place is the whole document.
A placeholder is ``{name}``; braces that are meant are doubled, as in Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

Spot: TypeAlias = tuple[str, ...]
"""A place in a JSON document, from the outside in."""

_TOKEN = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*)\}")
_STRAY = re.compile(r"[{}]")
_MISSING: Final = object()


def parse_spot(text: str) -> Spot:
    """The place that a text names.  Raises ValueError for an empty part."""
    if not text:
        return ()
    if text.startswith("/"):
        parts = text[1:].split("/")
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
    parts = text.split(".")
    if not all(parts):
        raise ValueError(f"{text!r} has an empty part")
    return tuple(parts)


def look(document: Any, spot: Spot) -> Any:
    """What lies at the place, or None if there is nothing."""
    for part in spot:
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


def put(document: dict[str, Any], spot: Spot, value: Any) -> None:
    """Lay a value at a place, making the objects on the way."""
    for part in spot[:-1]:
        document = document.setdefault(part, {})
    document[spot[-1]] = value


def placeholders(text: str) -> set[str]:
    """The names in a text.  Raises ValueError for a brace that belongs to none."""
    if _STRAY.search(_TOKEN.sub("", text)):
        raise ValueError("a brace without its partner; double it to mean the character")
    return {match[1] for match in _TOKEN.finditer(text) if match[1]}


def fill(text: str, values: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
    """The text with its placeholders filled; ``quote`` makes each value fit for the place."""

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        value = values.get(match[1])
        return "" if value is None else quote(as_text(value))

    return _TOKEN.sub(replace, text)


def as_text(value: Any) -> str:
    """A value as it stands in an address: ``true``, not ``True``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def fill_query(texts: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """The filled texts, without those that are one placeholder for nothing."""
    return {
        name: fill(text, values)
        for name, text in texts.items()
        if not _is_nothing(_whole(text, values))
    }


def fill_body(shape: Any, values: Mapping[str, Any]) -> Any:
    """The shape with its placeholders filled, at any depth.

    A text that is one placeholder becomes the thing itself, whatever its type; where there is
    no thing, its key or item is left out.
    """
    if isinstance(shape, Mapping):
        return dict(_filled(shape.items(), values))
    if isinstance(shape, (list, tuple)):
        return [value for _, value in _filled(enumerate(shape), values)]
    if not isinstance(shape, str):
        return shape
    whole = _whole(shape, values)
    return fill(shape, values) if whole is _MISSING else whole


def _filled(items: Any, values: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    for name, shape in items:
        if not (isinstance(shape, str) and _is_nothing(_whole(shape, values))):
            yield name, fill_body(shape, values)


def _whole(text: str, values: Mapping[str, Any]) -> Any:
    """The value of a text that is one placeholder and nothing else, else ``_MISSING``."""
    match = _TOKEN.fullmatch(text)
    return values.get(match[1]) if match and match[1] else _MISSING


def _is_nothing(value: Any) -> bool:
    return value is None
