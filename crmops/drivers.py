"""Drivers for one person at a time: they do the I/O that connectors and journeys leave out."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import httpx

from crmops.connectors.base import Connector, Talk
from crmops.journeys.base import Journey, Person
from crmops.outcome import CallFailed, ExpectationMissed, Outcome
from crmops.target import Target
from crmops.wire import Call, Order, Reply, Step, Think

T = TypeVar("T")


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

    steps: list[StepResult] = field(default_factory=list)
    name: str = "begin"
    seconds: float = 0.0
    calls: int = 0
    outcome: Outcome = Outcome.OK

    def step(self, name: str) -> None:
        if self.calls:
            self.steps.append(
                StepResult(self.name, self.seconds, self.calls, self.outcome)
            )
        self.name, self.seconds, self.calls, self.outcome = name, 0.0, 0, Outcome.OK

    def call(self, seconds: float) -> None:
        self.seconds += seconds
        self.calls += 1


def client(target: Target) -> httpx.Client:
    """A synchronous client for a target: its address, its time limit, no redirects, no proxies."""
    return httpx.Client(**_options(target))


def async_client(target: Target) -> httpx.AsyncClient:
    """The asynchronous twin of :func:`client`."""
    return httpx.AsyncClient(**_options(target))


def _options(target: Target) -> dict[str, Any]:
    return {
        "base_url": target.url,
        "timeout": target.timeout,
        "trust_env": False,
        "verify": target.ca_file or True,
    }


def converse(talk: Talk[T], http: httpx.Client) -> T:
    """Carry one operation of a connector through and return its result.

    Raises CallFailed for every problem, transport included.
    """
    order, result = _next(talk, None, None)
    while order is not None:
        reply: Reply | None = None
        failure: CallFailed | None = None
        if isinstance(order, Call):
            try:
                reply = _reply(http.request(**_request(order)))
            except httpx.HTTPError as error:
                failure = transport_problem(error)
        order, result = _next(talk, reply, failure)
    return cast("T", result)


def _next(
    talk: Generator[Order, Reply | None, Any],
    reply: Reply | None,
    failure: CallFailed | None,
) -> tuple[Order | None, Any]:
    """Advance: (order, None) while it goes on, (None, result) at its end."""
    try:
        return (talk.throw(failure) if failure else talk.send(reply)), None
    except StopIteration as stop:
        return None, stop.value


async def converse_async(talk: Talk[T], http: httpx.AsyncClient) -> T:
    """The asynchronous twin of :func:`converse`."""
    order, result = _next(talk, None, None)
    while order is not None:
        reply: Reply | None = None
        failure: CallFailed | None = None
        if isinstance(order, Call):
            try:
                reply = _reply(await http.request(**_request(order)))
            except httpx.HTTPError as error:
                failure = transport_problem(error)
        order, result = _next(talk, reply, failure)
    return cast("T", result)


def walk(
    journey: Journey,
    connector: Connector,
    person: Person,
    http: httpx.Client,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> JourneyResult:
    """Walk a journey once, without thinking time, and time its steps.  Never raises CallFailed."""
    tally = _Tally()
    began = clock()
    try:
        converse(_observed(journey.walk(connector, person), tally, clock), http)
        outcome, detail = Outcome.OK, ""
    except CallFailed as problem:
        outcome = problem.outcome
        detail = f"{tally.name}: {problem.code or problem.message}"
    except ExpectationMissed as missed:
        outcome, detail = Outcome.INVALID, f"{tally.name}: {missed}"
    tally.outcome = outcome
    tally.calls = max(tally.calls, 1) if outcome is not Outcome.OK else tally.calls
    tally.step("end")
    return JourneyResult(
        journey.name, outcome, clock() - began, tuple(tally.steps), detail
    )


def _observed(talk: Talk[T], tally: _Tally, clock: Callable[[], float]) -> Talk[T]:
    """The same talk, with its steps and calls counted on the way."""
    reply: Reply | None = None
    order = next(talk, None)
    while order is not None:
        if isinstance(order, Step):
            tally.step(order.name)
        began = clock()
        try:
            reply = yield order
        except CallFailed as problem:
            tally.call(clock() - began)
            try:
                order = talk.throw(problem)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            continue
        if isinstance(order, Call):
            tally.call(clock() - began)
        try:
            order = talk.send(reply if not isinstance(order, (Step, Think)) else None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
    raise TypeError("a journey must yield at least once")


def _request(call: Call) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": call.path,
        "headers": dict(call.headers),
        "content": call.body,
    }


def _reply(answer: httpx.Response) -> Reply:
    return Reply(answer.status_code, dict(answer.headers), answer.content)


def transport_problem(error: httpx.HTTPError) -> CallFailed:
    """What no whole HTTP reply means: timeout or transport, in words without addresses."""
    if isinstance(error, httpx.TimeoutException):
        return CallFailed(
            Outcome.TIMEOUT, f"no answer in time ({type(error).__name__})"
        )
    return CallFailed(Outcome.TRANSPORT, f"{type(error).__name__}: {error}"[:200])
