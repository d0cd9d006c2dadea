"""The kinds of paging: what to send for a page, and what its answer says of the next one.

A cursor is opaque to everybody else: the vendor's token, the address of the next page, a page
number or an offset.  Whatever would read a page twice or leave one out is a problem of the
server, never the quiet end of a list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

from crmops.connectors._profile_parts import (
    CursorPaging,
    LinkPaging,
    OffsetPaging,
    PagePaging,
    Paging,
)
from crmops.connectors._replies import count, text, unreadable
from crmops.connectors._template import look
from crmops.outcome import CallFailed, Outcome
from crmops.wire import Reply

_NEXT = re.compile(r"<([^>]*)>((?:\s*;\s*[^,;]+)*)")
_REL_NEXT = re.compile(r';\s*rel="?[^";]*\bnext\b', re.IGNORECASE)


class PageRequest:
    """One page: its size, where it begins, and how the next one is found in the answer.

    ``address`` is the target's; links to the next page must stay on its host.  ``asked`` is the
    path that was asked for, which relative links start from.
    """

    def __init__(self, paging: Paging, limit: int, cursor: str | None, address: str) -> None:
        self.paging = paging
        self.limit = min(limit, paging.max_limit)
        self.cursor = cursor
        self.asked = "/"
        self._address = address

    @property
    def path(self) -> str | None:
        """The whole path when a link says it, else None."""
        return self.cursor if isinstance(self.paging, LinkPaging) else None

    def parameters(self) -> dict[str, Any]:
        """What is sent besides the operation's own parameters."""
        paging = self.paging
        sent: dict[str, Any] = {paging.limit: self.limit} if paging.limit else {}
        if isinstance(paging, CursorPaging) and self.cursor is not None:
            sent[paging.parameter] = self.cursor
        elif isinstance(paging, PagePaging):
            sent[paging.parameter] = self._number(paging.first)
        elif isinstance(paging, OffsetPaging):
            sent[paging.parameter] = self._number(0)
        return sent

    def following(self, reply: Reply, body: Any, records: Sequence[Any]) -> str | None:
        """The cursor of the next page, or None on the last one."""
        paging = self.paging
        if paging.more is not None and look(body, paging.more) in (False, None, 0, "", "false"):
            return None
        if isinstance(paging, CursorPaging):
            found = look(body, paging.next)
            following = None if found in (None, "") else text(found, reply, "a cursor")
        elif isinstance(paging, LinkPaging):
            following = self._link(paging, reply, body)
        elif isinstance(paging, PagePaging):
            following = self._page(paging, reply, body, len(records))
        elif isinstance(paging, OffsetPaging):
            following = self._offset(paging, reply, body, len(records))
        else:
            return None
        if following is not None and following == self.cursor:
            raise unreadable(reply, "the next page is this page again")
        return following

    def _number(self, first: int) -> int:
        if self.cursor is None:
            return first
        if not self.cursor.isdecimal():
            raise CallFailed(Outcome.INVALID, "a cursor of another kind of paging")
        return int(self.cursor)

    def _page(self, paging: PagePaging, reply: Reply, body: Any, found: int) -> str | None:
        number = self._number(paging.first)
        done = number - paging.first + 1
        if paging.pages is not None:
            last = done >= count(look(body, paging.pages), reply, "a count of pages")
        elif paging.total is not None:
            total = count(look(body, paging.total), reply, "a count of records")
            before = (done - 1) * self.limit
            if found < min(self.limit, total - before):
                raise unreadable(reply, "a page shorter than was asked for; max_limit is too high")
            last = before + found >= total
        else:
            last = found == 0 or (paging.more is None and self._is_short(found))
        return None if last else str(number + 1)

    def _offset(self, paging: OffsetPaging, reply: Reply, body: Any, found: int) -> str | None:
        reached = self._number(0) + found
        if paging.total is not None:
            total = count(look(body, paging.total), reply, "a count of records")
            if found == 0 and reached < total:
                raise unreadable(reply, f"an empty page at record {reached} of {total}")
            return None if reached >= total else str(reached)
        last = found == 0 or (paging.more is None and self._is_short(found))
        return None if last else str(reached)

    def _is_short(self, found: int) -> bool:
        """Fewer than asked for; without a size in the request only an empty page is the end."""
        return self.paging.limit is not None and found < self.limit

    def _link(self, paging: LinkPaging, reply: Reply, body: Any) -> str | None:
        if paging.header is not None:
            link = _link_header(reply.headers.get(paging.header.lower(), ""))
        else:
            found = look(body, paging.next or ())
            link = "" if found is None else text(found, reply, "an address")
        return self._inside(link, reply) if link else None

    def _inside(self, link: str, reply: Reply) -> str:
        """The path of a link below the target's address: the token must not go elsewhere."""
        base = urlsplit(self._address)
        parts = urlsplit(urljoin(self._address.rstrip("/") + self.asked, link))
        if parts.hostname != base.hostname:
            raise unreadable(reply, "the next page lies on another host")
        path = parts.path
        prefix = base.path.rstrip("/")
        if prefix and path.startswith(prefix + "/"):
            path = path.removeprefix(prefix)
        return f"{path}?{parts.query}" if parts.query else path


def _link_header(value: str) -> str:
    """The address marked rel="next" in a Link header (RFC 8288), or nothing."""
    for match in _NEXT.finditer(value):
        if _REL_NEXT.match(match[2]) or _REL_NEXT.search(match[2]):
            return match[1]
    return ""
