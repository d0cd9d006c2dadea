"""Exports recordings as an HdrHistogram log (.hlog), for the tools that read those.

Format: github.com/HdrHistogram/HdrHistogram, log version 1.3, histograms in the compressed V2
encoding (three significant digits, whole microseconds).
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime

from loadtests.buckets import MICROS, Buckets, middle
from loadtests.recording import Recording

DIGITS = 3
HALF_BITS = 10
"""log2 of half the sub-buckets: 2048 of them keep three significant digits."""

HIGHEST = 3_600 * MICROS
_V2, _V2_COMPRESSED = 0x1C849303 | 0x10, 0x1C849304 | 0x10


def as_hlog(recording: Recording, begun: datetime, seconds: float) -> str:
    """One line for each operation, phase and outcome, tagged with the three."""
    start = begun.timestamp()
    lines = [
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {start:.3f} (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for tag, buckets in _tagged(recording):
        largest = buckets.largest / MICROS
        lines.append(f"Tag={tag},0.000,{seconds:.3f},{largest:.6f},{encoded(buckets)}")
    return "\n".join(lines) + "\n"


def _tagged(recording: Recording) -> Iterator[tuple[str, Buckets]]:
    found: dict[str, Buckets] = {}
    for key, cell in sorted(recording.cells.items()):
        tag = "/".join((key.operation, key.phase, key.outcome)).replace(",", "_").replace(" ", "_")
        found.setdefault(tag, Buckets()).merge(cell)
    yield from found.items()


def encoded(buckets: Buckets) -> str:
    """The histogram as base64 text."""
    counts: dict[int, int] = {}
    for key, count in buckets.counts.items():
        value = min(max(middle(key), buckets.smallest), buckets.largest)
        index = _index(min(round(value), HIGHEST))
        counts[index] = counts.get(index, 0) + count
    payload = _payload(counts)
    head = struct.pack(">iiiiqqd", _V2, len(payload), 0, DIGITS, 1, HIGHEST, 1.0)
    packed = zlib.compress(head + payload)
    return base64.b64encode(struct.pack(">ii", _V2_COMPRESSED, len(packed)) + packed).decode()


def _index(value: int) -> int:
    """Where a value is counted: the array index of HdrHistogram's two-level buckets."""
    bucket = max(value.bit_length() - (HALF_BITS + 1), 0)
    return (bucket << HALF_BITS) + (value >> bucket)


def _payload(counts: dict[int, int]) -> bytes:
    """Counts in order, gaps as negative run lengths, all as zigzag LEB128."""
    parts, expected = [], 0
    for index in sorted(counts):
        if index > expected:
            parts.append(_leb128(expected - index))
        parts.append(_leb128(counts[index]))
        expected = index + 1
    return b"".join(parts)


def _leb128(value: int) -> bytes:
    """A signed number in HdrHistogram's form: zigzag, seven bits a byte, nine bytes at most."""
    number = (value << 1) ^ (value >> 63)
    found = bytearray()
    while number >= 0x80 and len(found) < 8:
        found.append((number & 0x7F) | 0x80)
        number >>= 7
    found.append(number & 0xFF)
    return bytes(found)
