"""Who takes part: one account a person, never shared."""

from __future__ import annotations

import difflib
import random
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from crmops.errors import ConfigError, UsageError
from crmops.journeys import journeys
from crmops.journeys.base import Journey
from crmops.target import Account, Target
from loadtests.schedule import Stay, stays
from loadtests.workload import Role, Workload


@dataclass(frozen=True, slots=True)
class Participant:
    """One simulated person: their login, their role in the workload and when they are there."""

    account: Account
    role: str
    stays: tuple[Stay, ...]


def headcount(workload: Workload) -> dict[str, int]:
    """People by role: shares of the whole by the largest remainder, so that the sum is exact."""
    exact = {name: workload.users * role.share for name, role in workload.roles.items()}
    counts = {name: int(number) for name, number in exact.items()}
    left = workload.users - sum(counts.values())
    by_rest = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_rest[:left]:
        counts[name] += 1
    return counts


def take_part(workload: Workload, target: Target, seed: str) -> list[Participant]:
    """An account, a role and the stays of every person, the roles well mixed.

    Raises UsageError if there are fewer accounts than people: a login that two people share
    hides locking and caching.
    """
    roles = [name for name, count in headcount(workload).items() for _ in range(count)]
    random.Random(seed).shuffle(roles)
    accounts = _by_role(target)
    _check_enough(workload, target, accounts)
    queues = {name: deque(found) for name, found in accounts.items()}
    when = stays(workload)
    return [
        Participant(_next(workload.roles[role], role, queues), role, tuple(when[at]))
        for at, role in enumerate(roles)
    ]


def account_roles(name: str, role: Role) -> tuple[str, ...]:
    """The account roles that a role of the workload may use."""
    return role.accounts or (name,)


def _next(role: Role, name: str, queues: Mapping[str, deque[Account]]) -> Account:
    fullest = max(account_roles(name, role), key=lambda each: len(queues.get(each, ())))
    return queues[fullest].popleft()


def _by_role(target: Target) -> dict[str, list[Account]]:
    found: dict[str, list[Account]] = defaultdict(list)
    for account in target.accounts:
        found[account.role].append(account)
    return found


def _check_enough(
    workload: Workload, target: Target, accounts: Mapping[str, list[Account]]
) -> None:
    hint = f"Add accounts to targets.{target.name}.accounts, or ask for fewer people with --users."
    if not target.accounts:
        raise UsageError(f"target {target.name!r} has no accounts for simulated people", hint=hint)
    wanted: dict[tuple[str, ...], int] = defaultdict(int)
    for name, count in headcount(workload).items():
        wanted[account_roles(name, workload.roles[name])] += count
    for names, count in wanted.items():
        there = sum(len(accounts.get(each, ())) for each in names)
        if count > there:
            raise UsageError(
                f"{count} people need accounts of role {' or '.join(names)}, "
                f"target {target.name!r} has {there}",
                hint=hint,
            )


def repertoire(
    workload: Workload, connector: object
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """What each role does, journey to weight, and the journeys left out for want of a power.

    Raises ConfigError for an unknown journey, or a role that is left with nothing to do.
    """
    known = journeys()
    found: dict[str, dict[str, float]] = {}
    left_out: set[str] = set()
    for name, role in workload.roles.items():
        wanted = dict(role.journeys) or _ordinary(known, name, role)
        _check_known(workload, name, wanted, known)
        able = {each: weight for each, weight in wanted.items() if _able(known[each], connector)}
        left_out |= set(wanted) - set(able)
        if not able:
            raise ConfigError(
                f"role {name!r} of workload {workload.name!r} has no journey "
                "that this CRM's connector can walk",
                hint=f"Give roles.{name}.journeys others; `crmops probe list` shows them.",
            )
        found[name] = able
    return found, sorted(left_out)


def _ordinary(known: Mapping[str, Journey], name: str, role: Role) -> dict[str, float]:
    """The journeys that are ordinary work for the role's accounts, login aside."""
    who = set(account_roles(name, role))
    return {
        each.name: each.weight
        for each in known.values()
        if who & set(each.roles) and each.name != "login"
    }


def _check_known(
    workload: Workload, role: str, wanted: Mapping[str, float], known: Mapping[str, Journey]
) -> None:
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"workload {workload.name!r}: roles.{role}.journeys names {name!r}, "
                "which does not exist",
                hint=f"{hint}Known: {', '.join(sorted(known))}.",
            )


def _able(journey: Journey, connector: object) -> bool:
    return all(isinstance(connector, power) for power in journey.needs)
