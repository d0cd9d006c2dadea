"""What simulated people look at: their own records first, the top of a list more than its end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator
from typing import cast

import pytest
from pydantic import ValidationError

from crmops.connectors import connect
from crmops.connectors.base import Connector
from crmops.drivers import client, converse, walk
from crmops.journeys import journey
from crmops.journeys._pick import look_over, pick
from crmops.journeys.base import Habits, Person
from crmops.outcome import CallFailed, Outcome
from loadtests.workload import Role
from tests.conftest import RefcrmServer, TargetFactory

RECORDS = [{"id": str(each)} for each in range(10)]


def drawn(habits: Habits, tries: int = 4000) -> Counter[str]:
    person = Person("rep", "", rng=random.Random(7), habits=habits)
    found = (pick(RECORDS, person) for _ in range(tries))
    return Counter(str(each["id"]) for each in found if each is not None)


def test_zipf_prefers_the_top_and_forgets_nobody() -> None:
    skewed, even = drawn(Habits(skew=1.0)), drawn(Habits())
    assert skewed["0"] / skewed["1"] == pytest.approx(2, rel=0.2)
    assert skewed["0"] / skewed["9"] == pytest.approx(10, rel=0.35)
    assert len(skewed) == len(even) == 10
    assert max(even.values()) / min(even.values()) < 1.5
    assert pick([], Person("rep", "", habits=Habits(skew=1.0))) is None


def test_people_look_at_their_own_records(
    refcrm_server: RefcrmServer, target_factory: TargetFactory
) -> None:
    target = target_factory()
    username, crm = refcrm_server.username("rep"), connect(target)
    with client(target) as http:
        who = converse(crm.login(username, refcrm_server.password), http)
        person = Person(username, "", rng=random.Random(1), logged_in=True)
        owners: dict[str, set[str]] = {}
        for name, habits in (("own", Habits(own=1.0)), ("anybody", Habits())):
            person.habits = habits
            page = converse(look_over(crm, person, "contact"), http)
            owners[name] = {str(each["owner_id"]) for each in page.records}
        assert owners["own"] == {who.user_id}
        assert len(owners["anybody"]) >= 1
        person.habits = Habits(skew=1.0, own=0.7, team=0.25, stray=1.0)
        for name in ("browse_open", "search", "search"):
            assert walk(journey(name), crm, person, http).outcome is Outcome.OK


class Plain:
    """A connector that knows no teams: whoever asks for one's records is refused."""

    def list(
        self, entity: str, *, limit: int, where: dict[str, str] | None = None
    ) -> Generator[None, None, str]:
        if where:
            raise CallFailed(Outcome.INVALID, "the profile has no filter owner=team")
        yield
        return f"{limit} of any {entity}"


def test_a_crm_that_knows_no_teams_shows_anybodys() -> None:
    person = Person("rep", "", rng=random.Random(1), habits=Habits(team=1.0))
    talk = look_over(cast("Connector", Plain()), person, "deal")
    next(talk)
    with pytest.raises(StopIteration) as shown:
        next(talk)
    assert shown.value.value == "20 of any deal"


def test_shares_must_add_up() -> None:
    assert Role(share=1).habits == Habits(1.0, 0.7, 0.25, 0.1, 300, 0.15)
    with pytest.raises(ValidationError, match=r"own and team add up to 1\.3, more than 1"):
        Role(share=1, own=0.9, team=0.4)


@pytest.mark.parametrize("own", [0.0, 1.0])
def test_people_turn_pages_and_end_at_the_last(
    own: float, refcrm_server: RefcrmServer, target_factory: TargetFactory
) -> None:
    target = target_factory()
    crm = connect(target)
    with client(target) as http:
        converse(crm.login(refcrm_server.username("rep"), refcrm_server.password), http)
        person = Person("rep", "", rng=random.Random(1), habits=Habits(own=own, deep=1.0))
        last = converse(look_over(crm, person, "contact"), http)
        person.habits = Habits(own=own)
        first = converse(look_over(crm, person, "contact"), http)
    assert last.records
    assert last.cursor is None
    assert (last.records[-1]["id"] != first.records[-1]["id"]) == (first.cursor is not None)
    assert own or first.cursor is not None
