"""Kill the primary while it is used, promote its standby, lead everybody there, and measure."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import psycopg

from crmops.errors import CannotRun
from playbooks.application import Application, application_on
from playbooks.catalogue import read_manifest
from playbooks.instance import PROMOTED, alive, log_of, wait_until
from playbooks.job import Job
from playbooks.outage import Observed, observing, outage_of
from playbooks.report import Report
from playbooks.source import copy_address, copy_connection, one_row
from playbooks.standby import standby_of

_TABLE = b"create table public.crmops_failover (n bigint primary key)"
_INSERT = b"insert into public.crmops_failover values (%s)"
_STATEMENT_SECONDS = 5
_ENOUGH = 10
_POLL = 0.02


class _Crm:
    """Where the CRM is at the moment: a database and, where one is named, an application on it."""

    def __init__(self, job: Job, stack: ExitStack) -> None:
        manifest = read_manifest(job.backup)
        self.job, self.stack = job, stack
        self.database, self.user = manifest.database, manifest.superuser
        self.at = job
        self.application: Application | None = None
        self.connection: psycopg.Connection | None = None

    def serve(self, at: Job) -> str:
        """Lead everybody to a server; nothing, or why the application does not work there."""
        self.at = at
        if not self.job.settings.smoke.serve:
            return ""
        self.stack.close()
        address = copy_address(at.sockets, self.database, self.user)
        self.application = self.stack.enter_context(application_on(self.job, address))
        return self.application.wait_healthy()

    def ask(self) -> str:
        """One probe: of the application, where there is one, else of the database."""
        if self.application is not None:
            return self.application.ask(self.job.settings.failover.probe_timeout)
        try:
            with copy_connection(self.at, self.database, self.user) as connection:
                one_row(connection, b"select pg_is_in_recovery()")
        except CannotRun as error:
            return error.message
        return ""

    def close(self) -> None:
        """Give the writer's connection back."""
        if self.connection is not None:
            self.connection.close()

    def write(self, number: int) -> None:
        """Commit a numbered row where the CRM is; a lost connection is made anew next time."""
        if self.connection is None:
            self.connection = psycopg.connect(
                host=str(self.at.sockets), dbname=self.database, user=self.user, autocommit=True,
                connect_timeout=_STATEMENT_SECONDS,
            )  # fmt: skip
        try:
            self.connection.execute(_INSERT, (number,))
        except psycopg.Error:
            self.connection.close()
            self.connection = None
            raise


def run(job: Job, report: Report) -> None:
    """Raises CannotRun when the CRM did not work before, or the standby was not promoted."""
    standby, patience = standby_of(job), job.settings.smoke.timeout
    with ExitStack() as stack:
        crm = _Crm(job, stack)
        with copy_connection(job, crm.database, crm.user) as connection:
            connection.execute(_TABLE)
        if problem := crm.serve(job):
            raise CannotRun(f"nobody could work even before the failover: {problem}")
        pause = job.settings.failover.probe_every
        with observing(crm.ask, crm.write, pause) as seen:
            _wait(lambda: seen.good_since(0) >= _ENOUGH and len(seen.acknowledged) >= _ENOUGH,
                  patience, "the CRM did not answer steadily before the failover")  # fmt: skip
            began = _kill_primary(job)
            _wait(lambda: seen.bad_since(began) is not None, patience,
                  "nobody noticed that the primary was gone")  # fmt: skip
            noticed = seen.bad_since(began) or began
            _promote(standby, crm)
            promoted = time.monotonic()
            problem = crm.serve(standby)
            report.check("the application answers", not problem, wanted="on the standby",
                         found="no" if problem else "yes", detail=problem)  # fmt: skip
            pointed = time.monotonic()
            before = len(seen.acknowledged)
            _wait(lambda: seen.good_since(pointed) >= _ENOUGH
                  and len(seen.acknowledged) >= before + _ENOUGH,
                  patience, "the CRM did not answer steadily after the failover")  # fmt: skip
    report.fact(noticed_seconds=round(noticed - began, 3),
                promoted_seconds=round(promoted - noticed, 3),
                pointed_seconds=round(pointed - promoted, 3))  # fmt: skip
    crm.close()
    _look_back(crm, standby, seen, report)


def _kill_primary(job: Job) -> float:
    """As if its machine had lost its power.  Returns the moment."""
    pid = int(job.facts("recover")["pid"])
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    log_of(job).rename(job.scratch / "primary.log")  # that it was killed is no news from here on
    return began


def _promote(standby: Job, crm: _Crm) -> None:
    with copy_connection(standby, "template1", crm.user) as connection:
        connection.execute(b"select pg_promote(false)")
    wait_until(standby, int(crm.job.facts("stand_by")["pid"]), crm.user, PROMOTED)


def _look_back(crm: _Crm, standby: Job, seen: Observed, report: Report) -> None:
    """Was anything lost that had been acknowledged?  Is the old primary gone for good?"""
    with copy_connection(standby, crm.database, crm.user) as connection:
        found = {row[0] for row in connection.execute(b"select n from crmops_failover")}
        timeline = one_row(
            connection, b"select timeline_id, pg_is_in_recovery() from pg_control_checkpoint()"
        )
    lost = [each for each in seen.acknowledged if each not in found]
    report.check("acknowledged rows", not lost, wanted="all kept", found=f"{len(lost)} lost")
    report.check("in recovery", timeline[1] is False, wanted=False, found=timeline[1])
    old = alive(int(crm.job.facts("recover")["pid"]), crm.job.data)
    report.check("the old primary", not old, wanted="gone", found="alive" if old else "gone")
    bad = [each for each in seen.seen if each.problem]
    report.fact(
        outage=outage_of(seen.seen),
        probes=len(seen.seen),
        probes_failed=len(bad),
        written=len(seen.acknowledged),
        lost=len(lost),
    )


def _wait(true: Callable[[], bool], seconds: float, problem: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise CannotRun(f"{problem}, within {seconds:.0f} s", hint="See drills.smoke.timeout.")
        time.sleep(_POLL)
