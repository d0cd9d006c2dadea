"""Cursors: opaque text that says where the next page begins.

They carry the sort keys of the last row shown, so pages neither repeat nor skip a row when
others are added or removed meanwhile. They grant nothing: permissions are checked afresh.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from refcrm.database import Record
from refcrm.errors import ApiError, invalid
from refcrm.validate import to_id, to_time


def encode(*parts: Any) -> str:
    """An opaque cursor of JSON-able parts."""
    return urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode("ascii")


def decode(cursor: str, parts: int) -> list[Any]:
    """The parts of a cursor; ApiError 400 when it is not one of this shape."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        found = orjson.loads(raw)
    except (binascii.Error, ValueError):
        raise unfit() from None
    if not isinstance(found, list) or len(found) != parts:
        raise unfit()
    return found


def unfit() -> ApiError:
    """The refusal of a cursor that was not given out by this kind of page."""
    return invalid("the cursor does not fit", {"cursor": "is not a cursor of this list"})


def before_id(cursor: str | None) -> int | None:
    """The id that the next page of a list stays below; None for the first page."""
    if cursor is None:
        return None
    number = to_id(decode(cursor, 1)[0])
    if number is None:
        raise unfit()
    return number


def after_time(cursor: str | None) -> tuple[datetime, int] | None:
    """The (time, id) that the next page of a feed comes after; None for the first page."""
    if cursor is None:
        return None
    moment, number = decode(cursor, 2)
    found, last = to_time(moment), to_id(number)
    if found is None or last is None:
        raise unfit()
    return found, last


def cut(rows: Sequence[Record], limit: int) -> tuple[Sequence[Record], bool]:
    """The page itself and whether more follows; rows were asked for with one more than limit."""
    return (rows[:limit], True) if len(rows) > limit else (rows, False)
