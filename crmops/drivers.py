"""Drivers for one person at a time: they do the I/O that connectors and journeys leave out.

``converse`` carries one operation of a connector through, ``walk`` a whole journey; both have an
asynchronous twin.  A generator that was begun is always finished or closed here, whatever
interrupts the exchange, and no call may take longer than the client's time limit in all.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import httpx

from crmops.connectors.base import Connector, Talk
from crmops.journeys.base import Journey, Person
from crmops.outcome import CallFailed, ExpectationMissed, Outcome
from crmops.target import Target
from crmops.trust import trust
from crmops.wire import Call, Order, Reply, Step

T = TypeVar("T")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: seconds spent in calls (not thinking), number of calls, and how it ended."""

    name: str
    seconds: float
    calls: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class JourneyResult:
    """One walk of a journey.  ``outcome`` is the first that was not ok; ``detail`` says what."""

    journey: str
    outcome: Outcome
    seconds: float
    steps: tuple[StepResult, ...]
    detail: str = ""


@dataclass(slots=True)
class _Tally:
    """Adds up the calls of each step as the walk goes on."""

    began: float
    steps: list[StepResult] = field(default_factory=list)
    name: str = "begin"
    seconds: float = 0.0
    calls: int = 0

    def step(self, name: str, outcome: Outcome = Outcome.OK) -> None:
        if self.calls or outcome is not Outcome.OK:
            self.steps.append(StepResult(self.name, self.seconds, self.calls, outcome))
        self.name, self.seconds, self.calls = name, 0.0, 0

    def call(self, seconds: float) -> None:
        self.seconds += seconds
        self.calls += 1

    def result(self, journey: Journey, failure: Exception | None, now: float) -> JourneyResult:
        """The whole walk; ``failure`` is what ended it before its time."""
        outcome, detail = Outcome.OK, ""
        if isinstance(failure, CallFailed):
            outcome, detail = (
                failure.outcome,
                f"{self.name}: {failure.code or failure.message}",
            )
        elif failure is not None:
            outcome, detail = Outcome.INVALID, f"{self.name}: {failure}"
        self.step("end", outcome)
        return JourneyResult(journey.name, outcome, now - self.began, tuple(self.steps), detail)


def client(target: Target) -> httpx.Client:
    """A synchronous client for a target: its address, its time limit, no redirects, no proxies.

    Raises ConfigError if the target's ``ca_file`` cannot be read.
    """
    return httpx.Client(**_options(target))


def async_client(target: Target) -> httpx.AsyncClient:
    """The asynchronous twin of :func:`client`."""
    return httpx.AsyncClient(**_options(target))


def _options(target: Target) -> dict[str, Any]:
    return {
        "base_url": target.url,
        "timeout": target.timeout,
        "trust_env": False,
        "verify": trust(target),
    }


def converse(talk: Talk[T], http: httpx.Client) -> T:
    """Carry one operation of a connector through and return its result.

    Raises CallFailed for every problem, transport included.
    """
    go_on = functools.partial(talk.send, None)
    try:
        while True:
            order = go_on()
            if not isinstance(order, Call):
                go_on = functools.partial(talk.send, None)
                continue
            try:
                go_on = functools.partial(talk.send, _exchange(order, http))
            except CallFailed as problem:
                go_on = functools.partial(talk.throw, problem)
    except StopIteration as stop:
        return cast("T", stop.value)
    finally:
        talk.close()


async def converse_async(talk: Talk[T], http: httpx.AsyncClient) -> T:
    """The asynchronous twin of :func:`converse`."""
    go_on = functools.partial(talk.send, None)
    try:
        while True:
            try:
                order = go_on()
            except StopIteration as stop:
                return cast("T", stop.value)
            if not isinstance(order, Call):
                go_on = functools.partial(talk.send, None)
                continue
            try:
                go_on = functools.partial(talk.send, await _exchange_async(order, http))
            except CallFailed as problem:
                go_on = functools.partial(talk.throw, problem)
    finally:
        talk.close()


def walk(
    journey: Journey,
    connector: Connector,
    person: Person,
    http: httpx.Client,
    *,
    clock: Clock = time.perf_counter,
) -> JourneyResult:
    """Walk a journey once, without thinking time, and time its steps.  Never raises CallFailed."""
    tally = _Tally(clock())
    failure: Exception | None = None
    try:
        converse(_observed(journey.walk(connector, person), tally, clock), http)
    except (CallFailed, ExpectationMissed) as problem:
        failure = problem
    return tally.result(journey, failure, clock())


async def walk_async(
    journey: Journey,
    connector: Connector,
    person: Person,
    http: httpx.AsyncClient,
    *,
    clock: Clock = time.perf_counter,
) -> JourneyResult:
    """The asynchronous twin of :func:`walk`; a cancelled walk closes its generators."""
    tally = _Tally(clock())
    failure: Exception | None = None
    try:
        await converse_async(_observed(journey.walk(connector, person), tally, clock), http)
    except (CallFailed, ExpectationMissed) as problem:
        failure = problem
    return tally.result(journey, failure, clock())


def _observed(talk: Talk[T], tally: _Tally, clock: Clock) -> Talk[T]:
    """The same talk, with its steps and calls counted on the way."""
    go_on: Callable[[], Order] = functools.partial(talk.send, None)
    try:
        while True:
            try:
                order = go_on()
            except StopIteration as stop:
                return cast("T", stop.value)
            if isinstance(order, Step):
                tally.step(order.name)
            began = clock()
            try:
                go_on = functools.partial(talk.send, (yield order))
            except CallFailed as problem:
                go_on = functools.partial(talk.throw, problem)
            if isinstance(order, Call):
                tally.call(clock() - began)
    finally:
        talk.close()


def _exchange(call: Call, http: httpx.Client) -> Reply:
    """One call, answered whole within the client's time limit, or CallFailed.

    httpx limits each wait for bytes, so a server that drips could hold a person for ever; the
    limit on the whole is kept here, between the pieces of the body.
    """
    limit = http.timeout.read
    deadline = None if limit is None else time.monotonic() + limit
    try:
        with http.stream(call.method, call.path, **_parts(call)) as answer:
            pieces = []
            for piece in answer.iter_bytes():
                pieces.append(piece)
                if deadline is not None and time.monotonic() > deadline:
                    raise CallFailed(Outcome.TIMEOUT, f"no whole answer in {limit:g} s")
            return Reply(answer.status_code, dict(answer.headers), b"".join(pieces))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise transport_problem(error) from error


async def _exchange_async(call: Call, http: httpx.AsyncClient) -> Reply:
    limit = http.timeout.read
    try:
        async with asyncio.timeout(limit):
            answer = await http.request(call.method, call.path, **_parts(call))
            return Reply(answer.status_code, dict(answer.headers), answer.content)
    except TimeoutError as error:
        raise CallFailed(Outcome.TIMEOUT, f"no whole answer in {limit:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise transport_problem(error) from error


def _parts(call: Call) -> dict[str, Any]:
    return {"headers": dict(call.headers), "content": call.body}


def transport_problem(error: Exception) -> CallFailed:
    """What no whole HTTP reply means: timeout or transport, in words without addresses."""
    if isinstance(error, httpx.TimeoutException):
        return CallFailed(Outcome.TIMEOUT, f"no answer in time ({type(error).__name__})")
    return CallFailed(Outcome.TRANSPORT, f"{type(error).__name__}: {error}"[:200])
