"""Who walks the journeys on a restored copy: logins of the target, and how its CRM is spoken to.

The stages run in processes of their own.  What they need of the target travels in a file of mode
0600 in the job's folder, which is removed with it; job.json holds no secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from crmops.connectors import connect
from crmops.errors import CannotRun, ConfigError
from crmops.journeys import journey as journey_named
from crmops.journeys.base import Journey
from crmops.secret import Secret
from crmops.target import Account, Target
from playbooks.job import Job, write_atomically

_KEPT = ("name", "connector", "options", "timeout")


def choose_people(target: Target, journeys: tuple[str, ...]) -> list[Account]:
    """The login that walks each journey, in order.

    Raises UsageError for a journey that does not exist, ConfigError for one that the connector
    cannot walk or for which the target has no login.
    """
    if not journeys:
        return []
    connector = connect(target)
    found = []
    for journey in map(journey_named, journeys):
        for power in journey.needs:
            if not isinstance(connector, power):
                raise ConfigError(
                    f"journey {journey.name!r} needs {power.__name__}, which connector "
                    f"{target.connector!r} has not",
                    hint="Choose another one in drills.smoke.journeys.",
                )
        found.append(_login(target, journey))
    return found


def _login(target: Target, journey: Journey) -> Account:
    for each in target.accounts:
        if each.role in journey.roles:
            return each
    if target.username and target.password is not None:
        return Account(username=target.username, password=target.password, role="probe")
    raise ConfigError(
        f"target {target.name!r} has no login that could walk journey {journey.name!r}",
        hint=f"Give accounts of the role {' or '.join(journey.roles)}, or username and password.",
    )


def write_people(job: Job, target: Target) -> None:
    """Write what the smoke stage needs to walk the job's journeys; nothing if there are none."""
    journeys = job.settings.smoke.journeys
    if not journeys:
        return
    text = json.dumps(
        {
            "target": {name: _plain(getattr(target, name)) for name in _KEPT},
            "people": [_plain(each) for each in choose_people(target, journeys)],
        }
    )
    write_atomically(_file(job), text)


def read_people(job: Job, url: str) -> tuple[Target, list[Account]]:
    """The target as it is reached at another address, and who walks each journey.

    Raises CannotRun when the file is not there or is none.
    """
    try:
        found = json.loads(_file(job).read_bytes())
        people = [Account.model_validate(each) for each in found["people"]]
        return Target(url=url, **found["target"]), people
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotRun(f"nobody can walk the journeys: {type(error).__name__}") from None


def _file(job: Job) -> Path:
    return job.folder / "people.json"


def _plain(value: Any) -> Any:
    """Plain data with every Secret in it as text, for that file only."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
