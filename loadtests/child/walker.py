"""Walks journeys: sends their calls, thinks their thinks, and says how each call ended."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from typing import Any

import gevent

from crmops.outcome import CallFailed, ExpectationMissed, Outcome
from crmops.wire import Call, Order, Reply, Think
from loadtests.child.books import Books
from loadtests.child.client import THROTTLE_TRIES, Client, Sent, patience
from loadtests.recording import EXPECTED, Key

LATE = 0.1
"""Seconds after its scheduled moment from which a call does not count as sent on time."""

BUSINESS = frozenset((Outcome.CONFLICT, Outcome.MISSING, Outcome.INVALID, Outcome.FORBIDDEN))
"""Refusals by the CRM's own rules: no failure if the journey reckons with them and goes on."""


class TimeIsUp(Exception):
    """The person's time is over: they begin nothing more."""


class Walker:
    """One person's walk.  ``phase`` names the present phase, ``until`` is when the person leaves
    (both by the steady clock).
    """

    def __init__(
        self,
        client: Client,
        books: Books,
        role: str,
        phase: Callable[[], str],
        rng: random.Random,
        *,
        pace: float,
        spread: float,
    ) -> None:
        self._client, self._books, self._role, self._phase = client, books, role, phase
        self._rng, self._pace, self._spread = rng, pace, spread
        self.until = float("inf")
        self.intended: float | None = None

    def walk(self, name: str, talk: Generator[Order, Reply | None, Any]) -> Outcome:
        """Walk a journey to its end and count it.  Raises TimeIsUp."""
        phase, busy = self._phase(), 0.0
        outcome, detail = Outcome.OK, ""
        try:
            for seconds in self._orders(talk):
                busy += seconds
        except CallFailed as problem:
            outcome, detail = problem.outcome, f"status {problem.status} {problem.code}".strip()
        except ExpectationMissed as missed:
            outcome, detail = Outcome.INVALID, str(missed)
        finally:
            talk.close()
        if detail and outcome is not Outcome.THROTTLED:
            self._books.example(f"journey {name}", outcome.value, detail=detail[:200])
        self._books.journeys.add(Key(name, self._role, phase, outcome.value), int(busy * 1e6))
        return outcome

    def think(self, median: float) -> None:
        """Wait as a person does: lognormal around a median.  Raises TimeIsUp."""
        seconds = median * self._pace
        if self._spread:
            seconds *= self._rng.lognormvariate(0.0, self._spread)
        now = time.monotonic()
        if now + seconds >= self.until:
            gevent.sleep(max(self.until - now, 0.0))
            raise TimeIsUp
        gevent.sleep(seconds)
        self._on_time(now + seconds)

    def _on_time(self, due: float) -> None:
        counts = self._books.counts
        counts["scheduled"] += 1
        if time.monotonic() - due <= LATE:
            counts["on_time"] += 1

    def _orders(self, talk: Generator[Order, Reply | None, Any]) -> Generator[float, None, None]:
        """Carry the orders of a journey out; yields the seconds that each call took."""
        order: Order | None = _start(talk)
        while order is not None:
            if isinstance(order, Call):
                sent = self._send(order)
                yield sent.seconds
                order = self._resume(talk, order, sent)
            else:
                if isinstance(order, Think):
                    self.think(order.seconds)
                order = _advance(talk, None)

    def _send(self, call: Call) -> Sent:
        """Send a call, again after the time asked for while the CRM throttles it."""
        for _ in range(THROTTLE_TRIES):
            self._client.wait_for_allowance()
            if time.monotonic() >= self.until:
                raise TimeIsUp
            started = time.perf_counter()
            try:
                sent = self._client.send(call)
            except gevent.GreenletExit:
                self._unanswered(call, started)
                raise
            if sent.problem is None or sent.problem.outcome is not Outcome.THROTTLED:
                return sent
            self._count(call, sent, sent.problem.outcome.value)
            gevent.sleep(patience(sent.problem))
        return sent

    def _unanswered(self, call: Call, started: float) -> None:
        """The run is over and the answer is not there: the slowest calls must not be left out."""
        problem = CallFailed(Outcome.TIMEOUT, "no whole answer before the run was over")
        waited = time.perf_counter() - started
        self._count(call, Sent(None, problem, waited, started, 0), problem.outcome.value)

    def _resume(
        self, talk: Generator[Order, Reply | None, Any], call: Call, sent: Sent
    ) -> Order | None:
        """Hand the journey its reply, and count the call by what the journey makes of it."""
        problem, reply = sent.problem, sent.reply
        label = problem.outcome.value if problem else Outcome.OK.value
        accepted = False
        try:
            if reply is None and problem is not None:
                order = _advance(talk, None, problem)
            else:
                order = _advance(talk, reply)
            accepted = True
        finally:
            if problem is not None and accepted and _reckoned_with(problem):
                label = EXPECTED
            if problem is None or problem.outcome is not Outcome.THROTTLED:
                self._count(call, sent, label)
        return order

    def _count(self, call: Call, sent: Sent, label: str) -> None:
        key = (call.name, self._role, self._phase(), label)
        micros = int(sent.seconds * 1_000_000)
        books, intended = self._books, self.intended
        if intended is not None:
            waited = max(int((sent.started - intended) * 1_000_000), 0)
            books.service.add(key, micros)
            books.wait.add(key, waited)
            micros += waited
            self.intended = None
        books.response.add(key, micros)
        failure = label not in (Outcome.OK.value, EXPECTED, Outcome.THROTTLED.value)
        if failure and sent.problem is not None:
            problem = sent.problem
            words = problem.message if sent.reply is None else ""
            books.example(
                call.name, label, status=problem.status, code=problem.code[:60], detail=words
            )
        if not failure and books.is_slow(micros / 1e6):
            books.slow(micros / 1e6, call.name, self._client.trace_of(sent))
        self._client.tell_locust(call, sent, failure)


def _reckoned_with(problem: CallFailed) -> bool:
    return problem.outcome in BUSINESS or (
        problem.outcome is Outcome.AUTH and problem.code == "expired"
    )


def _start(talk: Generator[Order, Reply | None, Any]) -> Order | None:
    return _advance(talk, None)


def _advance(
    talk: Generator[Order, Reply | None, Any],
    reply: Reply | None,
    problem: CallFailed | None = None,
) -> Order | None:
    """The journey's next order, None at its end."""
    try:
        return talk.throw(problem) if problem is not None else talk.send(reply)
    except StopIteration:
        return None
