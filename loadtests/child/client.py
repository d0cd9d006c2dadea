"""Carries a connector's Calls to the CRM over one lean connection, and counts each one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent

from crmops.connectors.base import Connector, KeepsCookies
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target
from crmops.trust import trust
from crmops.wire import Call, Reply
from loadtests.child.books import Books
from loadtests.child.connection import Connection, ConnectionLost, Endpoint, Overdue
from loadtests.child.detours import REDIRECTS, Cookies, redirected
from loadtests.child.sweeper import Sweeper
from loadtests.http1 import Answer, Heads, ProtocolError, decoded, request_bytes

THROTTLE_TRIES = 3
"""How often a throttled call is sent again after the time that the CRM asked for."""

BURST = 0.1
"""Seconds of allowance that may be saved up under a rate cap."""

SAMPLED = 100
"""One call in so many asks the CRM to keep its trace; every call carries an id."""

DEFAULT_RETRY_AFTER = 1.0
MAX_RETRY_AFTER = 60.0
AGENT = "crmops-load"

Fire = Callable[..., None]


class CrmRefusal(Exception):
    """What locust is told of a call that failed: constant words, so that it groups them."""

    def __repr__(self) -> str:
        return str(self)


class RateCap:
    """Holds calls back when a second's allowance is used up: the target's cap is a promise."""

    def __init__(self, rate: float, books: Books) -> None:
        self._gap = 1.0 / rate
        self._next = 0.0
        self._books = books

    def wait(self) -> None:
        """Return when a call may be sent."""
        now = time.monotonic()
        self._next = max(self._next, now - BURST) + self._gap
        if self._next > now:
            self._books.counts["held"] += 1
            gevent.sleep(self._next - now)


@dataclass(frozen=True, slots=True)
class Site:
    """What all people of a process share: where the CRM is, and the books.

    ``redirects`` is how many are followed for one call.
    """

    target: Target
    endpoint: Endpoint
    prefix: str
    host: str
    sweeper: Sweeper
    books: Books
    cap: RateCap
    fire: Fire
    redirects: int = 0


def open_site(
    target: Target, books: Books, max_rate: float, fire: Fire, redirects: int = 0
) -> Site:
    """Look the CRM up.  Raises ConnectionLost if its host is not known."""
    url = urlsplit(target.url)
    secure = url.scheme == "https"
    context = trust(target) if secure else None
    port = url.port or (443 if secure else 80)
    endpoint = Endpoint(url.hostname or "", port, context)
    cap = RateCap(max_rate, books)
    prefix = url.path.rstrip("/")
    return Site(target, endpoint, prefix, url.netloc, Sweeper(), books, cap, fire, redirects)


@dataclass(slots=True)
class Sent:
    """One call that was sent: its reply or its problem, and what it cost."""

    reply: Reply | None
    problem: CallFailed | None
    seconds: float
    started: float
    number: int


class Client:
    """One person's client.  ``classify`` is the connector's word on a reply; ``cookies`` are kept
    only for connectors whose sessions need them.
    """

    def __init__(
        self,
        site: Site,
        classify: Callable[[Reply], CallFailed | None],
        rng: random.Random,
        *,
        cookies: bool = False,
    ) -> None:
        self._site, self._books, self._prefix = site, site.books, site.prefix
        self._classify = classify
        self._cookies = Cookies() if cookies else None
        self._mine = b"%016x" % rng.getrandbits(64)
        self._number = rng.getrandbits(62)
        self._connection = Connection(site.endpoint, site.sweeper, site.target.timeout)
        fixed = {"User-Agent": AGENT, "Accept-Encoding": "gzip"}
        self._heads = Heads(site.host, fixed)

    def wait_for_allowance(self) -> None:
        """Return when the target's cap on the rate lets another call go."""
        self._site.cap.wait()

    def send(self, call: Call) -> Sent:
        """Send a call once.  Never raises for what the CRM or the network does."""
        self._number = number = self._number + 1
        flag = b"00" if number % SAMPLED else b"01"
        extra = b"traceparent: 00-%b%016x-%016x-%b\r\n" % (self._mine, number, number, flag)
        reply: Reply | None = None
        books = self._books
        books.in_flight += 1
        started = time.perf_counter()
        try:
            answer = self._exchange(call, extra)
            if self._site.redirects and answer.status in REDIRECTS:
                answer = self._follow(call, extra, answer)
            seconds = time.perf_counter() - started
            headers, body = answer.headers, answer.body
            if headers.encoded:
                body = decoded(body, headers["content-encoding"])
            reply = Reply(answer.status, headers, body)
            problem = self._classify(reply)
        except Overdue as late:
            seconds = time.perf_counter() - started
            problem = CallFailed(Outcome.TIMEOUT, str(late))
        except (ConnectionLost, ProtocolError) as lost:
            seconds = time.perf_counter() - started
            problem = CallFailed(Outcome.TRANSPORT, str(lost))
        finally:
            books.in_flight -= 1
        return Sent(reply, problem, seconds, started, number)

    def _exchange(self, call: Call, extra: bytes) -> Answer:
        cookies = self._cookies
        if cookies is not None:
            extra += cookies.line()
        answer = self._transfer(call, extra)
        if cookies is not None:
            cookies.keep(answer.headers)
        return answer

    def _transfer(self, call: Call, extra: bytes) -> Answer:
        """The transport itself, the only part that another one replaces."""
        head = self._heads.of(call.method, call.headers)
        message = request_bytes(call.method, self._prefix + call.path, head, extra, call.body)
        return self._connection.exchange(message, call.method, idempotent=call.idempotent)

    def _follow(self, call: Call, extra: bytes, answer: Answer) -> Answer:
        """Go where the CRM sends us, as often as was asked for; all of it is one call's time."""
        site = self._site
        base = f"{'https' if site.endpoint.context else 'http'}://{site.host}"
        for _ in range(site.redirects):
            location = answer.headers.get("location", "")
            call = redirected(call, location, answer.status, base, self._prefix)
            answer = self._exchange(call, extra)
            if answer.status not in REDIRECTS:
                return answer
        raise ProtocolError(f"more than {site.redirects} redirects")

    def trace_of(self, sent: Sent) -> str:
        """The trace id that a call carried."""
        return f"{self._mine.decode()}{sent.number:016x}"

    def tell_locust(self, call: Call, sent: Sent, failure: bool) -> None:
        """Fire locust's event, as every client of it does."""
        exception: Any = None
        if failure and sent.problem is not None:
            exception = CrmRefusal(sent.problem.outcome.value)
        self._site.fire(
            request_type=call.method,
            name=call.name,
            response_time=sent.seconds * 1000,
            response_length=len(sent.reply.body) if sent.reply else 0,
            response=sent.reply,
            context={},
            exception=exception,
            start_time=time.time() - sent.seconds,
            url=call.name,
        )

    def close(self) -> None:
        """Close the connection; the session is over."""
        self._connection.close()
        if self._cookies is not None:
            self._cookies.forget()


def needs_cookies(connector: Connector) -> bool:
    """Whether a connector's sessions live in cookies."""
    return isinstance(connector, KeepsCookies) and connector.uses_cookies


def patience(problem: CallFailed) -> float:
    """Seconds to wait before a throttled call is sent again."""
    asked = DEFAULT_RETRY_AFTER if problem.retry_after is None else problem.retry_after
    return min(max(asked, 0.0), MAX_RETRY_AFTER)
