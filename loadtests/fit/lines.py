"""Reads access logs: the combined format of web servers, and one JSON object a line."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any, cast

from crmops.errors import CannotRun, UsageError

LONGEST = 65536
"""Bytes of a line; a longer one is no line of an access log."""

NAMED = 5
"""Bad lines that are named by number; the others are counted."""

_COMBINED = re.compile(
    r"(?P<ip>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) \S+'
    r'(?: "(?:[^"\\]|\\.)*" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)
_MOMENT = re.compile(
    r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})"
)
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_KEYS: Mapping[str, tuple[str, ...]] = {
    "time": (
        "time", "timestamp", "@timestamp", "time_iso8601", "time_local", "ts", "msec", "StartUTC",
    ),
    "user": ("remote_user", "user", "username", "user_id", "ClientUsername"),
    "ip": ("remote_addr", "client_ip", "clientip", "remote_ip", "client", "ip", "ClientHost"),
    "agent": ("http_user_agent", "user_agent", "agent"),
    "method": ("request_method", "method", "RequestMethod", "verb"),
    "path": ("request_uri", "uri", "path", "url", "RequestPath"),
    "request": ("request",),
    "status": ("status", "status_code", "code", "DownstreamStatus", "response"),
}  # fmt: skip


class BadLine(ValueError):
    """A line that is none of an access log; the message says why, never what stands in it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One request: seconds since 1970, the log's offset from UTC, who asked, what, the answer."""

    at: float
    offset: float
    who: str
    method: str
    path: str
    status: int


@dataclass(slots=True)
class Reading:
    """How the reading went: lines in all, bad ones by reason, the numbers of the first of them."""

    lines: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    named: list[tuple[int, str]] = field(default_factory=list)

    def hits(self, path: Path) -> Iterator[Hit]:
        """The requests of a log in its order.  Raises UsageError or CannotRun."""
        try:
            with _opened(path) as stream:
                yield from self._read(stream)
        except FileNotFoundError:
            raise UsageError(
                f"there is no access log {str(path)!r}", hint="Give the path of a file."
            ) from None
        except (OSError, EOFError) as error:
            raise CannotRun(
                f"access log {str(path)!r} cannot be read: {_why(error)}",
                hint="Look at its permissions, and that it is whole.",
            ) from error

    def _read(self, stream: IO[bytes]) -> Iterator[Hit]:
        while line := stream.readline(LONGEST):
            self.lines += 1
            try:
                if not line.endswith(b"\n") and len(line) == LONGEST:
                    _skip_rest(stream)
                    raise BadLine("the line is too long")
                text = line.decode(errors="strict").strip()
                if text:
                    yield parse(text)
            except UnicodeDecodeError:
                self._bad("it is not UTF-8 text")
            except BadLine as problem:
                self._bad(str(problem))

    def _bad(self, reason: str) -> None:
        self.bad[reason] += 1
        if len(self.named) < NAMED:
            self.named.append((self.lines, reason))


def parse(text: str) -> Hit:
    """One line of either format.  Raises BadLine."""
    found = _json_fields(text) if text.startswith("{") else _combined_fields(text)
    method, path = _request(found)
    at, offset = _moment(found.get("time"))
    user, ip = _word(found.get("user")), _word(found.get("ip"))
    if not user and not ip:
        raise BadLine("it does not say who asked")
    who = user or f"{ip} {_word(found.get('agent'))}"
    return Hit(at, offset, who, method, path, _status(found.get("status")))


def _combined_fields(text: str) -> dict[str, Any]:
    match = _COMBINED.match(text)
    if match is None:
        raise BadLine("it is neither combined format nor JSON")
    return match.groupdict()


def _json_fields(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError:
        raise BadLine("it begins like JSON and is none") from None
    if not isinstance(given, dict):
        raise BadLine("it is JSON but no object")
    flat: dict[str, Any] = {}
    for name, value in given.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return {
        wanted: next((flat[name] for name in names if flat.get(name) not in (None, "")), None)
        for wanted, names in _KEYS.items()
    }


def _request(found: Mapping[str, Any]) -> tuple[str, str]:
    method, path = found.get("method"), found.get("path")
    if not (method and path):
        words = str(found.get("request") or "").split()
        if len(words) < 2:
            raise BadLine("it has no request")
        method, path = words[:2]
    if not str(method).isalpha() or not str(path).startswith(("/", "http://", "https://")):
        raise BadLine("its request is none of HTTP")
    return str(method).upper(), str(path)


def _moment(value: object) -> tuple[float, float]:
    """Seconds since 1970 and the offset from UTC in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value / 1000 if value > 1e11 else float(value)), 0.0
    text = str(value or "").strip()
    try:
        found = _common(text) or datetime.fromisoformat(text)
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        shift = aware.utcoffset() or timedelta(0)
        return aware.timestamp(), shift.total_seconds()
    except (ValueError, OverflowError):
        pass
    try:
        return _moment(float(text)) if text else _no_time()
    except ValueError:
        return _no_time()


def _no_time() -> tuple[float, float]:
    raise BadLine("its time cannot be read")


def _common(text: str) -> datetime | None:
    """``10/Oct/2026:13:55:36 +0800``, whatever the locale."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes = match.groups()
    shift = timedelta(hours=int(hours), minutes=int(minutes))
    zone = timezone(-shift if sign == "-" else shift)
    number = _MONTHS.get(month, 0)
    return datetime(
        int(year), number, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=zone
    )


def _status(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise BadLine("it has no status") from None


def _word(value: object) -> str:
    text = str(value or "").strip()
    return "" if text == "-" else text


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _skip_rest(stream: IO[bytes]) -> None:
    while (part := stream.readline(LONGEST)) and not part.endswith(b"\n"):
        pass


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
