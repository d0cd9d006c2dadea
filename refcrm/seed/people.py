"""Teams and users: admin, integration, managers and representatives, all with one password."""

from __future__ import annotations

import random
from typing import NamedTuple

from refcrm.errors import RefcrmError
from refcrm.seed.pools import Pools
from refcrm.seed.words import REGIONS
from refcrm.seed.world import NULL, Owner

LEAST_USERS = 4
REPS_PER_MANAGER = 20


class Staff(NamedTuple):
    """Rows for COPY and the representatives who can own records."""

    teams: list[str]
    users: list[str]
    owners: tuple[Owner, ...]


TEAM_COLUMNS = ("id", "name", "region", "version", "created_at", "updated_at")
USER_COLUMNS = (
    "id", "username", "name", "email", "role", "team_id", "region", "active", "password_hash",
    "version", "created_at", "updated_at",
)  # fmt: skip


def hire(users: int, password_hash: str, pools: Pools, rng: random.Random, since: str) -> Staff:
    """Make ``users`` people: two system users, one manager for about 20 reps, a team for each.

    Raises RefcrmError when there are too few to have one of each role.
    """
    if users < LEAST_USERS:
        raise RefcrmError(
            f"users must be at least {LEAST_USERS}, not {users}",
            hint="There is always an admin, an integration user, a manager and a representative.",
        )
    managers = -(-(users - 2) // (REPS_PER_MANAGER + 1))
    regions = list(REGIONS)
    team_region = [regions[team % len(regions)] for team in range(managers)]
    teams = [
        "\t".join(
            (str(team + 1), f"{region}{team // len(regions) + 1}部", region, "1", since, since)
        )
        for team, region in enumerate(team_region)
    ]
    rows: list[str] = []
    owners: list[Owner] = []

    def add(username: str, role: str, team: int | None) -> None:
        number = len(rows) + 1
        name = rng.choice(pools.surnames)[0] + rng.choice(pools.given)[0]
        where = (NULL, NULL) if team is None else (str(team + 1), team_region[team])
        person = name if team is not None else username
        email = f"{username}@crm.example"
        common = (str(number), username, person, email, role, *where, "t", password_hash)
        rows.append("\t".join((*common, "1", since, since)))
        if role == "rep" and team is not None:
            owners.append(Owner(number, team, team_region[team]))

    add("admin", "admin", None)
    add("integration", "integration", None)
    for team in range(managers):
        add(f"manager{team + 1:04d}", "manager", team)
    for rep in range(users - 2 - managers):
        add(f"rep{rep + 1:04d}", "rep", rep % managers)
    return Staff(teams, rows, tuple(owners))
