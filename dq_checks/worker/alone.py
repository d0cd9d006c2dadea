"""One audit of a table at a time, also when those who want it know nothing of one another."""

from __future__ import annotations

import time

import sqlalchemy as sa

from dq_checks.suite import Suite
from dq_checks.worker.session import JobProblem

_OURS = 0x63726D6F
WAIT_SECONDS = 5.0
"""The server needs seconds to notice that an audit was killed."""


def alone(connection: sa.Connection, suite: Suite) -> None:
    """Take PostgreSQL's advisory lock on the suite's table until the transaction ends.

    Raises JobProblem when another audit keeps it.
    """
    if connection.dialect.name != "postgresql":
        return
    name = f"{suite.table_schema or ''}.{suite.table}"
    query = sa.select(sa.func.pg_try_advisory_xact_lock(_OURS, sa.func.hashtext(name)))
    until = time.monotonic() + WAIT_SECONDS
    while not connection.execute(query).scalar_one():
        if time.monotonic() > until:
            raise JobProblem(
                f"another audit reads table {suite.table} now",
                "Wait for it to end; two at once would load the CRM's database twice.",
            )
        time.sleep(0.25)
