"""The drivers: what they hand in and throw in, that they close what they open, and time limits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.drivers import (
    JourneyResult,
    async_client,
    client,
    converse,
    converse_async,
    walk,
    walk_async,
)
from crmops.errors import ConfigError
from crmops.journeys.base import Journey, Person
from crmops.outcome import CallFailed, ExpectationMissed, Outcome
from crmops.target import Target
from crmops.wire import Call, Order, Reply, Step, Think

BASE = "http://crm.test"
GET = Call("GET", "/x", "x")
FAULTS: dict[str, tuple[Exception, Outcome]] = {
    "refused": (httpx.ConnectError("refused"), Outcome.TRANSPORT),
    "cut": (httpx.RemoteProtocolError("cut off"), Outcome.TRANSPORT),
    "slow": (httpx.ReadTimeout("slow"), Outcome.TIMEOUT),
    "full": (httpx.PoolTimeout("full"), Outcome.TIMEOUT),
}
EVENTS = st.lists(st.sampled_from(["ok", "think", "step", *FAULTS]), max_size=12)


def answers(events: list[str]) -> Callable[[httpx.Request], httpx.Response]:
    """A server in memory: fails or answers each call as the events say."""
    left = [event for event in events if event not in ("think", "step")]

    def handle(request: httpx.Request) -> httpx.Response:
        event = left.pop(0)
        if event in FAULTS:
            raise FAULTS[event][0]
        return httpx.Response(200, headers={"X-Number": str(len(left))}, content=b"{}")

    return handle


class Told:
    """A talk that yields an order for each event and writes down what it is told."""

    def __init__(self, events: list[str], *, catches: bool) -> None:
        self.events = events
        self.catches = catches
        self.told: list[str] = []
        self.closed = False

    def talk(self) -> Generator[Order, Reply | None, str]:
        try:
            for index, event in enumerate(self.events):
                yield from self._one(index, event)
            return "end"
        finally:
            self.closed = True

    def _one(self, index: int, event: str) -> Generator[Order, Reply | None, None]:
        order: Order = GET
        if event in ("think", "step"):
            order = Think(9e9) if event == "think" else Step(f"s{index}")
        try:
            reply = yield order
            self.told.append("nothing" if reply is None else "ok")
            assert reply is None or reply.headers["x-number"].isdigit()
        except CallFailed as problem:
            self.told.append(problem.outcome)
            if not self.catches:
                raise

    def expected(self) -> list[str]:
        told: list[str] = []
        for event in self.events:
            if event in FAULTS:
                told.append(FAULTS[event][1])
                if not self.catches:
                    return told
            else:
                told.append("ok" if event == "ok" else "nothing")
        return told


def sync_http(events: list[str]) -> httpx.Client:
    return httpx.Client(base_url=BASE, transport=httpx.MockTransport(answers(events)))


def async_http(events: list[str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=BASE, transport=httpx.MockTransport(answers(events)))


def both(told: Told) -> Iterator[tuple[Any, Told]]:
    """The result, or the problem, of both drivers over the same events."""
    with sync_http(told.events) as http:
        yield caught(lambda: converse(told.talk(), http)), told
    twin = Told(told.events, catches=told.catches)

    async def run() -> Any:
        async with async_http(twin.events) as http:
            return await converse_async(twin.talk(), http)

    yield caught(lambda: asyncio.run(run())), twin


def caught(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except CallFailed as problem:
        return problem.outcome


@given(EVENTS, st.booleans())
def test_a_talk_is_told_everything_and_always_ends(events: list[str], catches: bool) -> None:
    for result, told in both(Told(events, catches=catches)):
        expected = told.expected()
        failed = not catches and any(event in FAULTS for event in events)
        assert told.told == expected
        assert result == (expected[-1] if failed else "end")
        assert told.closed


def journey(talk: Callable[[], Generator[Order, Reply | None, Any]]) -> Journey:
    return Journey("j", "", (), lambda crm, person: talk())


def walked(told: Told) -> Iterator[JourneyResult]:
    nobody: Any = None
    with sync_http(told.events) as http:
        yield walk(journey(told.talk), nobody, Person("u", "p"), http)
    twin = Told(told.events, catches=told.catches)

    async def run() -> JourneyResult:
        async with async_http(twin.events) as http:
            return await walk_async(journey(twin.talk), nobody, Person("u", "p"), http)

    yield asyncio.run(run())


@given(EVENTS, st.booleans())
def test_a_walk_counts_every_call_once_and_ends_as_its_worst(
    events: list[str],
    catches: bool,
) -> None:
    for result in walked(Told(events, catches=catches)):
        told = Told(events, catches=catches).expected()
        calls = [one for one in told if one != "nothing"]
        failed = not catches and any(one != "ok" for one in calls)
        assert sum(step.calls for step in result.steps) == len(calls)
        assert result.outcome == (told[-1] if failed else Outcome.OK)
        assert [step.outcome for step in result.steps if step.outcome is not Outcome.OK] == (
            [result.outcome] if failed else []
        )
        assert bool(result.detail) is failed
        assert all(step.seconds >= 0 for step in result.steps)


def test_a_wrong_answer_is_an_invalid_walk_that_names_its_step() -> None:
    def talk() -> Generator[Order, Reply | None, None]:
        yield Step("look")
        raise ExpectationMissed("deal 7 was stored with another stage")

    nobody: Any = None
    with sync_http([]) as http:
        result = walk(journey(talk), nobody, Person("u", "p"), http)
    assert result.outcome is Outcome.INVALID
    assert result.detail == "look: deal 7 was stored with another stage"
    assert [(step.name, step.calls, step.outcome) for step in result.steps] == [
        ("look", 0, Outcome.INVALID)
    ]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_whatever_interrupts_a_call_closes_the_talk(stop: type[BaseException]) -> None:
    def interrupt(request: httpx.Request) -> httpx.Response:
        raise stop

    told = Told(["ok"], catches=True)
    with (
        httpx.Client(base_url=BASE, transport=httpx.MockTransport(interrupt)) as http,
        pytest.raises(stop),
    ):
        converse(told.talk(), http)
    assert told.closed


def test_a_cancelled_walk_closes_the_talk() -> None:
    told = Told(["ok", "ok"], catches=True)
    nobody: Any = None

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def run() -> None:
        async with httpx.AsyncClient(
            base_url=BASE, transport=httpx.MockTransport(hang), timeout=None
        ) as http:
            task = asyncio.create_task(
                walk_async(journey(told.talk), nobody, Person("u", "p"), http)
            )
            await asyncio.sleep(0.05)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

    asyncio.run(run())
    assert told.closed
    assert told.told == []


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server whose answer never ends: a byte every 50 milliseconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)
    stop = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                peer, _ = listener.accept()
                with peer, contextlib.suppress(OSError):
                    peer.recv(65536)
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                    while not stop.wait(0.05):
                        peer.sendall(b"x")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    stop.set()
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_an_answer_that_drips_is_a_timeout(dripping: str) -> None:
    target = Target(name="t", connector="refcrm", url=dripping, timeout=0.3)

    def talk() -> Generator[Order, Reply | None, None]:
        yield GET

    with client(target) as http, pytest.raises(CallFailed) as sync:
        converse(talk(), http)

    async def run() -> None:
        async with async_client(target) as http:
            await converse_async(talk(), http)

    with pytest.raises(CallFailed) as twin:
        asyncio.run(run())
    for problem in (sync.value, twin.value):
        assert problem.outcome is Outcome.TIMEOUT
        assert problem.message == "no whole answer in 0.3 s"


def test_an_address_that_is_none_is_a_transport_problem() -> None:
    def talk() -> Generator[Order, Reply | None, None]:
        yield Call("GET", "http://[::bad/", "x")

    with httpx.Client() as http, pytest.raises(CallFailed) as caught:
        converse(talk(), http)
    assert caught.value.outcome is Outcome.TRANSPORT


def test_a_ca_file_that_cannot_be_used_is_a_configuration_error(tmp_path: Any) -> None:
    target = Target(name="t", connector="refcrm", url=BASE, ca_file=str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError) as caught:
        client(target)
    assert caught.value.message == (
        f"ca_file {target.ca_file!r} of target 't' cannot be used: No such file or directory"
    )
    (tmp_path / "ca.pem").write_text("no certificate", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be used"):
        async_client(target)
