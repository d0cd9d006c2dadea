"""Speaking with a CRM's API from a stage: signed in, patient with a CRM that says to wait."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx

from crmops.connectors import connect
from crmops.connectors.base import Connector, Talk
from crmops.drivers import client, converse
from crmops.errors import CannotRun, ConfigError, TargetUnreachable
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target
from playbooks.job import Job, write_atomically
from playbooks.people import _plain as plain

T = TypeVar("T")
_TRIES = 8
_LOGIN_TRIES = 3
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 120.0
_AGAIN = frozenset({Outcome.TRANSPORT, Outcome.TIMEOUT, Outcome.SERVER})
_KEPT = ("name", "connector", "url", "username", "password", "options", "timeout", "ca_file",
         "environment")  # fmt: skip


@dataclass(slots=True)
class Caller:
    """One signed-in session; ``calls`` counts the operations."""

    connector: Connector
    http: httpx.Client
    calls: int = 0

    def ask(self, talk: Callable[[], Talk[T]], *, twice: bool = True, tries: int = _TRIES) -> T:
        """Carry an operation through, waiting when the CRM asks for it.

        ``twice`` says that doing it again does no harm: then a broken connection is tried anew.
        Raises CallFailed for what waiting does not mend.
        """
        wait = _FIRST_WAIT
        for attempt in range(tries):
            self.calls += 1
            try:
                return converse(talk(), self.http)
            except CallFailed as problem:
                mends = problem.outcome is Outcome.THROTTLED or (
                    twice and problem.outcome in _AGAIN
                )
                if not mends or attempt == tries - 1:
                    raise
                time.sleep(min(problem.retry_after or wait, _LONGEST_WAIT))
                wait *= 2
        raise AssertionError("the last try returns or raises")


def login_of(target: Target) -> tuple[str, str]:
    """Username and password.  Raises ConfigError when the target has none."""
    if not target.username or target.password is None:
        raise ConfigError(
            f"target {target.name!r} has no username and password",
            hint="Give it the login of an administrator or of an integration user.",
        )
    return target.username, target.password.reveal()


@contextmanager
def speaking(target: Target) -> Iterator[Caller]:
    """A session with a target.

    Raises ConfigError without a login, TargetUnreachable or CannotRun when it cannot begin or
    breaks off; never with what a record holds.
    """
    username, password = login_of(target)
    with client(target) as http:
        caller = Caller(connect(target), http)
        try:
            caller.ask(lambda: caller.connector.login(username, password), tries=_LOGIN_TRIES)
            yield caller
        except CallFailed as problem:
            said = f"{problem.outcome}{f' {problem.code}' if problem.code else ''}"
            kind = TargetUnreachable if problem.outcome in _AGAIN else CannotRun
            raise kind(
                f"the CRM of target {target.name!r} did not answer as it must: {said}",
                hint="Look at the target's url, login and rights; what was pulled is kept.",
            ) from None


def write_target(job: Job, name: str, target: Target) -> None:
    """Write how a target is reached into the job's folder, readable for this user only."""
    text = json.dumps({each: plain(getattr(target, each)) for each in _KEPT})
    write_atomically(job.folder / f"{name}.json", text)


def read_target(job: Job, name: str) -> Target:
    """The target that was written.  Raises CannotRun when it was not."""
    try:
        return Target.model_validate_json((job.folder / f"{name}.json").read_bytes())
    except (OSError, ValueError) as error:
        raise CannotRun(f"target {name} is not known: {type(error).__name__}") from None
