"""Journeys walked on the application that was started on a restored copy."""

from __future__ import annotations

import random

from crmops.connectors import connect
from crmops.drivers import JourneyResult, client, walk
from crmops.journeys import journey as journey_named
from crmops.journeys.base import Person
from crmops.outcome import Outcome
from crmops.target import Account, Target
from playbooks.job import Job
from playbooks.people import read_people
from playbooks.report import Report

_LOGIN = "login"


def walk_journeys(job: Job, url: str, report: Report) -> None:
    """Let somebody walk each journey; one that does not end well is a failed check.

    What they create stays: the copy is removed anyway.
    """
    target, people = read_people(job, url)
    passed = 0
    for name, account in zip(job.settings.smoke.journeys, people, strict=True):
        result = _walk(target, account, name, job.id)
        good = result.outcome is Outcome.OK
        passed += good
        report.check(
            f"journey {name}", good, wanted=Outcome.OK, found=result.outcome,
            detail="" if good else f"{result.outcome} at {result.detail}",
        )  # fmt: skip
    report.fact(journeys=len(people), journeys_passed=passed)


def _walk(target: Target, account: Account, name: str, tag: str) -> JourneyResult:
    person = Person(
        account.username, account.password.reveal(), account.role, tag=tag, rng=random.Random(tag)
    )
    connector = connect(target)
    with client(target) as http:
        if name != _LOGIN:
            login = walk(journey_named(_LOGIN), connector, person, http)
            if login.outcome is not Outcome.OK:
                return login
        return walk(journey_named(name), connector, person, http)
