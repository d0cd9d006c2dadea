"""The transport of locust's FastHttpUser under our journeys: selectable, for comparison.

Dearer by the factor that ``make bench BENCH=load_client`` prints.  What is counted, journalled and
told to locust is the same as over the lean connection; only the bytes travel otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

import gevent
import gevent.ssl
from geventhttpclient._parser import HTTPParseError
from geventhttpclient.response import HTTPConnectionClosed
from locust import User
from locust.contrib.fasthttp import FastHttpSession, FastHttpUser

from crmops.outcome import CallFailed
from crmops.target import Target
from crmops.wire import Call, Reply
from loadtests.child.client import AGENT, Client, Site
from loadtests.child.connection import ConnectionLost, Overdue
from loadtests.http1 import Answer, LazyHeaders, ProtocolError

NOWHERE = "http://localhost"
"""The base address that FastHttpUser insists on; every request names its own."""


class StockClient(Client):
    """One person's client over the session of a FastHttpUser."""

    def __init__(
        self,
        site: Site,
        classify: Callable[[Reply], CallFailed | None],
        rng: random.Random,
        session: FastHttpSession,
        *,
        cookies: bool = False,
    ) -> None:
        super().__init__(site, classify, rng, cookies=cookies)
        session.client.cookiejar = None  # ours, or none: as over the lean connection
        self._session = session
        scheme = "https" if site.endpoint.context else "http"
        self._base = f"{scheme}://{site.host}{self._prefix}"

    def _transfer(self, call: Call, extra: bytes) -> Answer:
        """Send a request and read its answer.  Raises what the lean connection raises.

        After a failure nothing of the connection is kept: geventhttpclient would wait for ever
        for a socket that a thrown exception has not given back.
        """
        limit = self._site.target.timeout
        try:
            with gevent.Timeout(limit, Overdue("no whole answer in time")):
                response: Any = self._session.request(  # takes bytes too, whatever its stub says
                    call.method, self._base + call.path, data=cast("Any", call.body),
                    catch_response=True, headers=_headers(call, extra), allow_redirects=False,
                )  # fmt: skip
            problem = response.request_meta["exception"]
            if not response.status_code or (problem is not None and response.status_code < 400):
                raise _translated(problem or response.error)
            return _answer(response)
        except ValueError:
            self._session.client.close()
            raise ProtocolError("a header or path that cannot be sent") from None
        except BaseException:
            self._session.client.close()
            raise

    def close(self) -> None:
        """Close the connection; the session is over."""
        super().close()
        self._session.client.close()


def stock_fields(target: Target) -> dict[str, Any]:
    """What a FastHttpUser is told of a target, as attributes of its class.

    The TLS context is everybody's: stock locust loads the authorities for each user anew, which
    takes 49 ms and 856 KB each.
    """
    context = gevent.ssl.create_default_context()
    if target.ca_file:
        context.load_verify_locations(cafile=target.ca_file)
    return {
        "host": NOWHERE,
        "connection_timeout": target.timeout,
        "network_timeout": target.timeout,
        "max_retries": 0,
        "insecure": False,
        "concurrency": 1,
        "ssl_context_factory": staticmethod(lambda **_ignored: context),
    }


def user_bases(base: type[User], client: str, target: Target) -> tuple[tuple[Any, ...], Any]:
    """The bases and the attributes of a user class whose people talk over ``client``."""
    if client == "fasthttp":
        return (base, FastHttpUser), stock_fields(target)
    return (base,), {}


def client_of(
    user: User,
    site: Site,
    classify: Callable[[Reply], CallFailed | None],
    rng: random.Random,
    *,
    cookies: bool,
) -> Client:
    """The client of one locust user, by its class."""
    if isinstance(user, FastHttpUser):
        return StockClient(site, classify, rng, user.client, cookies=cookies)
    return Client(site, classify, rng, cookies=cookies)


def _headers(call: Call, extra: bytes) -> dict[str, str]:
    lines = (line.partition(": ") for line in extra.decode("latin-1").split("\r\n") if line)
    own = {name: value for name, _, value in lines}
    return {"User-Agent": AGENT, "Accept-Encoding": "gzip", **call.headers, **own}


def _translated(problem: BaseException) -> Exception:
    """A failure of geventhttpclient in our words, which hold no address."""
    if isinstance(problem, HTTPConnectionClosed):
        return ConnectionLost("closed without an answer")
    if isinstance(problem, gevent.ssl.SSLCertVerificationError):
        return ConnectionLost(f"the certificate is refused: {problem.verify_message}")
    if isinstance(problem, TimeoutError):
        return Overdue("the server fell silent")
    if isinstance(problem, OSError) and not isinstance(problem, HTTPParseError):
        words = problem.strerror or type(problem).__name__
        return ConnectionLost(f"the connection failed: {words.lower()}")
    return ProtocolError("not HTTP/1.1 as it should be")


def _answer(response: Any) -> Answer:
    """A response as the lean connection would have handed it over, its coding taken off."""
    lines = [
        f"{name}: {value}"
        for name, value in response.headers.items()
        if name.lower() != "content-encoding"
    ]
    head = "\r\n".join([f"HTTP/1.1 {response.status_code}", *lines]).encode("latin-1", "replace")
    return Answer(response.status_code, LazyHeaders(head, head.lower()), response.content, True)
