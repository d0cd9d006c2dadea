"""What an answer may ask of a client besides: to come back with a cookie, or to go elsewhere."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from crmops.wire import Call
from loadtests.http1 import LazyHeaders, ProtocolError

REDIRECTS = frozenset((301, 302, 303, 307, 308))
_KEEP_METHOD = frozenset((307, 308))
_PAIR = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=([^\x00-\x20\",;\\\x7f]*|\"[^\x00-\x1f\";]*\")")


class Cookies:
    """One person's cookies, of the one host that they talk to; a session's end forgets them."""

    __slots__ = ("_jar",)

    def __init__(self) -> None:
        self._jar: dict[str, str] = {}

    def line(self) -> bytes:
        """The header line to send, or nothing."""
        if not self._jar:
            return b""
        pairs = "; ".join(f"{name}={value}" for name, value in self._jar.items())
        return f"cookie: {pairs}\r\n".encode("latin-1")

    def keep(self, headers: LazyHeaders) -> None:
        """Take what an answer sets; one that has expired is forgotten, nonsense is ignored."""
        for text in headers.values_of("set-cookie"):
            first, *rest = (part.strip() for part in text.split(";"))
            match = _PAIR.fullmatch(first)
            if match is None:
                continue
            if _expired(rest):
                self._jar.pop(match[1], None)
            else:
                self._jar[match[1]] = match[2]

    def forget(self) -> None:
        """The session is over."""
        self._jar.clear()


def _expired(attributes: list[str]) -> bool:
    """Whether a cookie is taken back: ``Max-Age`` has the last word (RFC 6265, 5.3)."""
    found = {name.lower(): value for name, _, value in (each.partition("=") for each in attributes)}
    try:
        if "max-age" in found:
            return int(found["max-age"]) <= 0
        if "expires" in found:
            return parsedate_to_datetime(found["expires"]).timestamp() <= time.time()
    except (ValueError, OverflowError):
        pass
    return False


def redirected(call: Call, location: str, status: int, base: str, prefix: str) -> Call:
    """The call that a redirect asks for (RFC 9110, 15.4).

    ``base`` is the target's scheme and host.  Raises ProtocolError for another host: nobody has
    allowed load there, and the session's token must not go there.
    """
    target = urlsplit(urljoin(f"{base}{prefix}{call.path}", location))
    if not location or f"{target.scheme}://{target.netloc}" != base:
        raise ProtocolError("a redirect to another host" if location else "a redirect to nowhere")
    path = target.path + (f"?{target.query}" if target.query else "")
    if not path.startswith(prefix):
        raise ProtocolError("a redirect out of the target's address")
    path = path.removeprefix(prefix) or "/"
    if status in _KEEP_METHOD or call.method in ("GET", "HEAD"):
        return replace(call, path=path)
    if status == 303 or call.method == "POST":
        headers = {
            name: value for name, value in call.headers.items() if name.lower() != "content-type"
        }
        return replace(call, method="GET", path=path, headers=headers, body=None, idempotent=True)
    return replace(call, path=path)
