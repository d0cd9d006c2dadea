"""Segments of PostgreSQL's write-ahead log: their names, and whether an archive has them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_HIGH = 1 << 32


def parse_lsn(text: str) -> int:
    """``16/B374D848`` as a number of bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def segment_name(timeline: int, lsn: int, segment_bytes: int) -> str:
    """The segment that holds a place.  Names: src/include/access/xlog_internal.h."""
    return _name(timeline, lsn // segment_bytes, segment_bytes)


def segments(timeline: int, first: int, last: int, segment_bytes: int) -> Iterator[str]:
    """Every segment from the one that holds ``first`` to the one that holds ``last``."""
    for number in range(first // segment_bytes, last // segment_bytes + 1):
        yield _name(timeline, number, segment_bytes)


def gaps(archive: Path, names: list[str], segment_bytes: int) -> list[str]:
    """What is wrong with the named segments in an archive, as lines for a person.

    Logs of a server that does not cut them to one size have ``segment_bytes`` 0.
    """
    lines = []
    for name in names:
        path = archive / name
        if not path.is_file():
            lines.append(f"{name} is missing")
        elif segment_bytes and path.stat().st_size != segment_bytes:
            lines.append(f"{name} has {path.stat().st_size} bytes, not {segment_bytes}")
    return lines


def _name(timeline: int, number: int, segment_bytes: int) -> str:
    per_file = _HIGH // segment_bytes
    return f"{timeline:08X}{number // per_file:08X}{number % per_file:08X}"
