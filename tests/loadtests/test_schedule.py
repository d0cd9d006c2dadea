"""Who is there when: pure arithmetic over a workload."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmops.errors import UsageError
from crmops.secret import Secret
from crmops.target import Account, Target
from loadtests.people import headcount, take_part
from loadtests.schedule import PhaseClock, rate_at, stays
from loadtests.workload import Phase, Role, Workload, present

phase_shapes = st.tuples(
    st.floats(1, 100), st.floats(0, 1), st.floats(0, 1), st.sampled_from(("even", "bell"))
)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    shapes = draw(st.lists(phase_shapes, min_size=1, max_size=4))
    phases = tuple(
        Phase(name=f"p{at}", seconds=long, people=people, within=long * within, arrival=arrival)  # type: ignore[arg-type]
        for at, (long, people, within, arrival) in enumerate(shapes)
    )
    users = draw(st.integers(1, 60))
    return Workload(
        name="some", summary="some", users=users, phases=phases, roles={"rep": Role(share=1)}
    )


@settings(max_examples=60)
@given(workloads())
def test_at_the_end_of_each_phase_as_many_are_there_as_it_says(workload: Workload) -> None:
    found = stays(workload)
    assert len(found) == workload.users
    end = 0.0
    for phase in workload.phases:
        end += phase.seconds
        there = sum(
            any(come <= end - 1e-6 and end - 1e-6 < go + 1e-6 for come, go in each)
            for each in found
        )
        assert there == present(workload.users, phase) or phase.within == phase.seconds


@settings(max_examples=60)
@given(workloads())
def test_stays_follow_one_another_and_end_with_the_run(workload: Workload) -> None:
    for person in stays(workload):
        moments = [moment for stay in person for moment in stay]
        assert moments == sorted(moments)
        assert all(0 <= moment <= workload.seconds + 1e-6 for moment in moments)


def test_a_bell_brings_most_around_the_middle() -> None:
    bell = Phase(name="p", seconds=90, within=90, arrival="bell")
    workload = Workload(
        name="w", summary="w", users=1000, phases=(bell,), roles={"rep": Role(share=1)}
    )
    arrivals = [person[0][0] for person in stays(workload)]
    middle = sum(25 <= moment <= 65 for moment in arrivals)
    assert 800 <= middle <= 850


def test_the_clock_knows_its_phases() -> None:
    clock = PhaseClock([("a", 10), ("b", 5)])
    assert [clock.at(each) for each in (-1, 0, 9.99, 10, 14.9, 15, 99)] == list("aaabbbb")
    assert clock.end == 15


def test_a_rate_climbs_within_the_first_seconds_of_a_phase() -> None:
    phases = (
        Phase(name="low", seconds=10, rate=10),
        Phase(name="high", seconds=10, rate=30, within=4),
    )
    workload = Workload(
        name="w", summary="w", users=1, model="open", phases=phases, roles={"rep": Role(share=1)}
    )
    found = [rate_at(workload, second) for second in (0, 9, 10, 12, 14, 19, 20)]
    assert found == [10, 10, 10, 20, 30, 30, 0]


@given(st.integers(1, 500), st.floats(0.01, 0.98))
def test_shares_of_people_add_up(users: int, share: float) -> None:
    roles = {"a": Role(share=share), "b": Role(share=1 - share)}
    workload = Workload(
        name="w", summary="w", users=users, phases=(Phase(name="p", seconds=1),), roles=roles
    )
    counts = headcount(workload)
    assert sum(counts.values()) == users
    assert abs(counts["a"] - users * share) <= 1


def target_of(*roles: str) -> Target:
    accounts = tuple(
        Account(username=f"{role}{at}", password=Secret("x"), role=role)
        for at, role in enumerate(roles)
    )
    return Target(name="crm", connector="refcrm", url="http://127.0.0.1:1", accounts=accounts)


def two_roles(users: int) -> Workload:
    roles = {"seller": Role(share=0.5, accounts=("rep",)), "manager": Role(share=0.5)}
    return Workload(
        name="w", summary="w", users=users, phases=(Phase(name="p", seconds=1),), roles=roles
    )


def test_nobody_shares_a_login() -> None:
    people = take_part(two_roles(4), target_of("rep", "rep", "manager", "manager", "rep"), "seed")
    assert len({each.account.username for each in people}) == 4
    assert all(
        each.account.role == {"seller": "rep", "manager": "manager"}[each.role] for each in people
    )


def test_too_few_accounts_of_a_role_are_refused() -> None:
    with pytest.raises(UsageError) as refused:
        take_part(two_roles(4), target_of("rep", "rep", "rep", "manager"), "seed")
    assert refused.value.message == ("2 people need accounts of role manager, target 'crm' has 1")
