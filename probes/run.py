"""One probe: log in, walk the journey once, tidy up, judge, record."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from crmops.connectors import connect
from crmops.connectors.base import Connector
from crmops.drivers import JourneyResult, client, converse, walk
from crmops.errors import ConfigError
from crmops.execute import Execution, executing
from crmops.history import History
from crmops.journeys import journey as journey_named
from crmops.journeys.base import Journey, Person
from crmops.outcome import CallFailed, Outcome
from crmops.record import Kind, Run, Unit, Verdict
from crmops.target import Target
from crmops.verdict import Objective, judge


def run_probe(
    target: Target, name: str, history: History, *, limit: float, config_digest: str = ""
) -> Run:
    """Walk the journey called ``name`` once and record it.

    Passes if every call and every expectation was met within ``limit`` seconds; a CRM that does
    not answer is a fail, an answer "too many requests" is unknown.  Raises UsageError for an
    unknown journey and ConfigError for a target without credentials.
    """
    journey = journey_named(name)
    person = _person(target)
    connector = connect(target)
    _demand(journey, connector, target)
    with (
        executing(history, Kind.PROBE, target.name, name, config_digest=config_digest) as execution,
        _visit(journey, connector, person, target) as result,
    ):
        person.tag = execution.id
        _judge(execution, result(), limit)
        leaked = [each for each in person.created if not _remove(connector, each, target)]
        for entity, record_id in leaked:
            execution.finding(f"a probe's {entity} was left behind", f"id {record_id}", "info")
    return execution.run


class _Visit:
    """The walk, done when it is asked for, over a connection of its own."""

    def __init__(
        self, journey: Journey, connector: Connector, person: Person, http: httpx.Client
    ) -> None:
        self._parts = (journey, connector, person, http)

    def __call__(self) -> JourneyResult:
        journey, connector, person, http = self._parts
        if journey.name != "login":
            login = walk(journey_named("login"), connector, person, http)
            if login.outcome is not Outcome.OK:
                return login
        return walk(journey, connector, person, http)


@contextmanager
def _visit(
    journey: Journey, connector: Connector, person: Person, target: Target
) -> Iterator[_Visit]:
    with client(target) as http:
        yield _Visit(journey, connector, person, http)


def _person(target: Target) -> Person:
    if not target.username or target.password is None:
        raise ConfigError(
            f"target {target.name!r} has no username and password for probes",
            hint="Set username, and password as env:NAME or file:PATH.",
        )
    return Person(target.username, target.password.reveal(), role="probe", rng=random.Random())


def _demand(journey: Journey, connector: Connector, target: Target) -> None:
    for power in journey.needs:
        if not isinstance(connector, power):
            raise ConfigError(
                f"journey {journey.name!r} needs {power.__name__}, which connector "
                f"{target.connector!r} has not",
                hint="Choose another journey, or describe the operation in the profile.",
            )


def _judge(execution: Execution, result: JourneyResult, limit: float) -> None:
    execution.measure("duration", result.seconds, Unit.SECONDS, 1)
    for step in result.steps:
        execution.measure(f"step.{step.name}", step.seconds, Unit.SECONDS, step.calls)
    if result.outcome is Outcome.THROTTLED:
        execution.conclude(Verdict.UNKNOWN, f"throttled at {result.detail}")
    elif result.outcome is not Outcome.OK:
        where = f"{result.outcome} at {result.detail}"
        execution.finding(f"journey {result.journey} failed", where, "critical")
        execution.conclude(Verdict.FAIL, where)
    else:
        objective = Objective(measure="duration", op="<=", limit=limit, unit=Unit.SECONDS)
        execution.conclude_by(judge(execution.run.measures, [objective]))


def _remove(connector: Connector, made: tuple[str, str], target: Target) -> bool:
    entity, record_id = made
    try:
        with client(target) as http:
            converse(connector.delete(entity, record_id), http)
    except CallFailed as problem:
        return problem.outcome is Outcome.MISSING
    return True
