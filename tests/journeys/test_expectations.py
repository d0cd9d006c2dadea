"""Journeys that meet a CRM which lies, fails or speaks another dialect."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from crmops.connectors import connect
from crmops.connectors.base import Connector
from crmops.drivers import JourneyResult, client, converse, walk
from crmops.journeys import journey, journeys
from crmops.journeys._pick import tidy
from crmops.journeys.base import Person
from crmops.outcome import Outcome
from crmops.target import Target
from crmops.wire import Call, Reply, Step, Think

TargetFactory = Callable[..., Target]
Go = Callable[..., JourneyResult]
WRITERS = [name for name, one in journeys().items() if one.writes]


@pytest.fixture
def go(refcrm_server: Any, target_factory: TargetFactory) -> Go:
    """Walks a journey on the real CRM as one of its roles: ``go("search", timeout=1)``.

    Faults and the time limit hold for the walk alone.
    """

    def run(name: str, seed: int = 1, faults: Any = None, timeout: float = 30) -> JourneyResult:
        one = journey(name)
        target = target_factory()
        hurried = target_factory(timeout=timeout)
        crm = connect(target)
        username = refcrm_server.username(one.roles[0])
        person = Person(username, refcrm_server.password, rng=random.Random(seed), tag="lies")
        with client(target) as http:
            converse(crm.login(username, person.password), http)
            with refcrm_server.faults(**(faults or {})), client(hurried) as other:
                result = walk(one, crm, person, other)
            converse(tidy(crm, person), http)
        return result

    return run


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_is_lost_is_noticed(name: str, go: Go) -> None:
    result = go(name, faults={"lost_write_ratio": 1.0})
    assert result.outcome in (Outcome.MISSING, Outcome.INVALID)
    assert result.detail


@pytest.mark.parametrize("name", sorted(journeys()))
def test_a_failing_server_fails_the_first_step(name: str, go: Go) -> None:
    result = go(name, faults={"error_ratio": 1.0})
    assert result.outcome is Outcome.SERVER
    assert result.steps[0].outcome is Outcome.SERVER
    assert result.steps[0].name == journey(name).steps[0]


def test_a_slow_server_times_the_journey_out(go: Go) -> None:
    result = go("browse_open", faults={"latency_seconds": 3.0}, timeout=0.3)
    assert (result.outcome, result.steps[0].name) == (Outcome.TIMEOUT, "list_deals")


def test_create_lead_takes_both_ways_past_the_warning(go: Go) -> None:
    names = set()
    for seed in range(6):
        result = go("create_lead", seed)
        assert (result.outcome, result.detail) == (Outcome.OK, "")
        names |= {step.name for step in result.steps}
    assert names == {"look_up", "create", "decide", "confirm"}


def test_a_journey_of_another_role_is_forbidden(
    refcrm_server: Any, target_factory: TargetFactory
) -> None:
    target = target_factory()
    crm, person = connect(target), Person("rep0001", refcrm_server.password)
    with client(target) as http:
        converse(crm.login(person.username, person.password), http)
        result = walk(journey("export"), crm, person, http)
    assert (result.outcome, result.detail) == (Outcome.FORBIDDEN, "export: forbidden")


def test_a_journey_announces_only_its_steps_and_thinks_between_them(
    refcrm_server: Any, target_factory: TargetFactory
) -> None:
    target = target_factory()
    for one in journeys().values():
        crm = connect(target)
        username = refcrm_server.username(one.roles[0])
        person = Person(username, refcrm_server.password, rng=random.Random(3), tag="steps")
        with client(target) as http:
            converse(crm.login(username, person.password), http)
            orders = list(observed(one.walk(crm, person), crm, http))
            converse(tidy(crm, person), http)
        steps = [order.name for order in orders if isinstance(order, Step)]
        assert isinstance(orders[0], Step)
        assert set(steps) <= set(one.steps)
        assert any(isinstance(order, Think) and order.seconds > 0 for order in orders)


def observed(talk: Any, crm: Connector, http: httpx.Client) -> Any:
    """The orders of a journey, carried through one at a time."""
    answer: Reply | None = None
    while True:
        try:
            order = talk.send(answer)
        except StopIteration:
            return
        yield order
        answer = converse(single(order), http) if isinstance(order, Call) else None


def single(call: Call) -> Any:
    return (yield call)


@pytest.mark.parametrize("one", journeys().values(), ids=lambda one: one.name)
def test_a_journey_says_who_walks_it_and_what_it_needs(one: Any) -> None:
    assert one.summary
    assert one.steps == tuple(dict.fromkeys(one.steps))
    assert all(step.isidentifier() for step in one.steps)
    assert set(one.roles) <= {"rep", "manager", "admin", "integration"}
    assert one.weight > 0


def test_the_manual_has_a_row_for_every_journey() -> None:
    manual = (Path(__file__).parents[2] / "docs/journeys.md").read_text(encoding="utf-8")
    for one in journeys().values():
        steps = ", ".join(f"`{step}`" for step in one.steps)
        roles = "all" if len(one.roles) == 4 else ", ".join(one.roles)
        needs = ", ".join(f"`{power.__name__}`" for power in one.needs)
        cells = (f"`{one.name}`", one.summary, steps, roles, "yes" if one.writes else "", needs)
        row = "| " + " | ".join(cells) + " |"
        assert re.sub(" +", " ", row) in re.sub(" +", " ", manual)
