"""What the parent tells the child: one JSON line on its standard input, never on a command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from crmops.secret import Secret
from crmops.target import Target
from loadtests.people import Participant
from loadtests.schedule import Stay
from loadtests.workload import Workload


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """One person as the child needs them."""

    username: str
    password: str
    role: str
    stays: list[Stay]


class Part(NamedTuple):
    """A process's part of an open load: its share of the rate, and which of how many it is."""

    share: float
    turn: int
    turns: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one generator process needs to know."""

    run_id: str
    seed: str
    target: dict[str, Any]
    workload: dict[str, Any]
    journeys: dict[str, dict[str, float]]
    people: list[PersonPlan]
    journal: str
    max_rate: float
    share: float = 1.0
    worker: int = 0
    workers: int = 1
    redirects: int = 0
    client: str = "lean"

    def dump(self) -> bytes:
        """One line of JSON.  Holds passwords: for a pipe only."""
        return json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Plan:
        """The plan that :meth:`dump` wrote."""
        fields = json.loads(line)
        people = [PersonPlan(**each) for each in fields.pop("people")]
        return cls(people=people, **fields)

    @property
    def journal_path(self) -> Path:
        """The file of this process's journal."""
        return Path(self.journal)

    @property
    def part(self) -> Part:
        """This process's part of an open load."""
        return Part(self.share, self.worker, self.workers)

    def target_model(self) -> Target:
        """The target, without the accounts: each person brings their own."""
        return Target.model_validate(self.target)

    def workload_model(self) -> Workload:
        """The workload."""
        return Workload.model_validate(self.workload)


def plain_target(target: Target) -> dict[str, Any]:
    """A target as plain data with its secrets in the open, for a pipe only."""
    keep = ("name", "connector", "url", "environment", "options", "timeout", "ca_file")
    return {name: revealed(getattr(target, name)) for name in keep}


def person_plans(people: list[Participant]) -> list[PersonPlan]:
    """The people, their passwords in the open."""
    return [
        PersonPlan(
            each.account.username, each.account.password.reveal(), each.role, list(each.stays)
        )
        for each in people
    ]


def revealed(value: Any) -> Any:
    """Plain data with every Secret in it as text."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, BaseModel):
        return {name: revealed(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(name): revealed(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [revealed(each) for each in value]
    return value
