"""Every journey over every connector, against the real reference CRM."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from crmops.connectors import connect, connectors
from crmops.drivers import client, converse, walk
from crmops.journeys import journeys
from crmops.journeys._pick import tidy
from crmops.journeys.base import Journey, Person
from crmops.outcome import Outcome
from crmops.target import Target

TargetFactory = Callable[..., Target]


@pytest.mark.parametrize("connector", sorted(connectors()))
@pytest.mark.parametrize("journey", journeys().values(), ids=lambda one: one.name)
@pytest.mark.parametrize("seed", range(2))
def test_each_journey_ends_well_and_can_be_tidied_up(
    journey: Journey, connector: str, seed: int, refcrm_server: Any, target_factory: TargetFactory
) -> None:
    role = journey.roles[seed % len(journey.roles)]
    target = target_factory(connector)
    crm = connect(target)
    assert all(isinstance(crm, power) for power in journey.needs)
    person = Person(
        refcrm_server.username(role, seed % 2 if role in ("rep", "manager") else 0),
        refcrm_server.password,
        role,
        tag=f"journeys-{connector}",
        rng=random.Random(seed),
    )
    with client(target) as http:
        converse(crm.login(person.username, person.password), http)
        result = walk(journey, crm, person, http)
        assert (result.outcome, result.detail) == (Outcome.OK, "")
        names = [step.name for step in result.steps]
        assert set(names) <= set(journey.steps)
        assert bool(person.created) is journey.writes
        assert converse(tidy(crm, person), http) == []
        assert person.created == []
