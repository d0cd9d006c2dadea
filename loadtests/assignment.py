"""What is to be done: everything that can be checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from crmops.connectors import connect
from crmops.drivers import client, walk
from crmops.errors import CannotRun, TargetUnreachable, UsageError
from crmops.journeys import journey
from crmops.journeys.base import Person
from crmops.outcome import Outcome
from crmops.target import Target
from crmops.verdict import Objective
from loadtests.guard import guard
from loadtests.people import Participant, repertoire, take_part
from loadtests.settings import Settings
from loadtests.verdict import with_samples
from loadtests.workload import Workload


@dataclass(frozen=True, slots=True)
class Assignment:
    """A load test that may be run."""

    target: Target
    workload: Workload
    settings: Settings
    objectives: tuple[Objective, ...]
    people: tuple[Participant, ...]
    journeys: dict[str, dict[str, float]]
    left_out: tuple[str, ...]


def prepare(
    target: Target, workload: Workload, settings: Settings, confirm: str = ""
) -> Assignment:
    """Check everything that can be checked without sending anything.  Raises UsageError."""
    guard(target, workload, settings, confirm)
    objectives = with_samples(settings.objectives, settings.samples)
    names, left_out = repertoire(workload, connect(target))
    people = take_part(workload, target, workload.name)
    return Assignment(
        target, workload, settings, tuple(objectives), tuple(people), names, tuple(left_out)
    )


def check_login(assignment: Assignment) -> None:
    """Log the first person in before thousands follow.  Raises TargetUnreachable or UsageError."""
    target, first = assignment.target, assignment.people[0]
    person = Person(first.account.username, first.account.password.reveal(), first.role)
    with client(target) as http:
        found = walk(journey("login"), connect(target), person, http)
    if found.outcome in (Outcome.TRANSPORT, Outcome.TIMEOUT):
        raise TargetUnreachable(
            f"target {target.name!r} does not answer: {found.detail}",
            hint=f"Check targets.{target.name}.url, and that the CRM is up.",
        )
    if found.outcome is Outcome.AUTH:
        raise UsageError(
            f"target {target.name!r} refuses the login of the first account",
            hint=f"Check the passwords of targets.{target.name}.accounts.",
        )
    if found.outcome is not Outcome.OK:
        raise CannotRun(
            f"nobody can log in at target {target.name!r}: {found.outcome}, {found.detail}",
            hint="`crmops probe run login` shows more.",
        )
