"""One probe: log in, walk the journey once, tidy up, judge, record."""

from __future__ import annotations

import random
from dataclasses import replace

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

LOGIN = "login"


def run_probe(
    target: Target, name: str, history: History, *, limit: float, config_digest: str = ""
) -> Run:
    """Walk the journey called ``name`` once and record it.

    Passes if every call and every expectation was met within ``limit`` seconds; a CRM that does
    not answer is a fail, an answer "too many requests" is unknown.  The login that a journey
    needs first has steps of its own and is no part of ``duration``.  Raises UsageError for an
    unknown journey and ConfigError for a target without credentials.
    """
    journey, connector = check_probe(target, name)
    with (
        executing(history, Kind.PROBE, target.name, name, config_digest=config_digest) as execution,
        client(target) as http,
    ):
        person = _person(target, execution.id)
        try:
            _judge(execution, _visit(journey, connector, person, http), limit)
        finally:
            _tidy(execution, connector, person, http)
    return execution.run


def check_probe(target: Target, name: str) -> tuple[Journey, Connector]:
    """What a probe needs, without a word to the CRM.

    Raises UsageError for an unknown journey, ConfigError for a target without credentials or a
    connector without the powers that the journey needs.
    """
    journey = journey_named(name)
    if not target.username or target.password is None:
        raise ConfigError(
            f"target {target.name!r} has no username and password for probes",
            hint="Set username, and password as env:NAME or file:PATH.",
        )
    connector = connect(target)
    for power in journey.needs:
        if not isinstance(connector, power):
            raise ConfigError(
                f"journey {journey.name!r} needs {power.__name__}, which connector "
                f"{target.connector!r} has not",
                hint="Choose another journey, or describe the operation in the profile.",
            )
    return journey, connector


def _person(target: Target, tag: str) -> Person:
    password = target.password.reveal() if target.password else ""
    return Person(target.username, password, role="probe", tag=tag, rng=random.Random())


def _visit(
    journey: Journey, connector: Connector, person: Person, http: httpx.Client
) -> JourneyResult:
    """The walk; another journey than the login is preceded by one, or ends with it."""
    if journey.name == LOGIN:
        return walk(journey, connector, person, http)
    login = walk(journey_named(LOGIN), connector, person, http)
    if login.outcome is not Outcome.OK:
        return login
    result = walk(journey, connector, person, http)
    return replace(result, steps=(*login.steps, *result.steps))


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


def _tidy(execution: Execution, connector: Connector, person: Person, http: httpx.Client) -> None:
    """Remove what the walk has made, the newest first; what stays is a finding."""
    for entity, record_id in reversed(person.created):
        try:
            converse(connector.delete(entity, record_id), http)
        except CallFailed as problem:
            if problem.outcome is not Outcome.MISSING:
                detail = f"id {record_id}: {problem.outcome}"
                execution.finding(f"a probe's {entity} was left behind", detail, "info")
