"""The standby of a restored copy, for the rehearsal of a failover."""

from __future__ import annotations

from playbooks import osuser
from playbooks.job import Job

FOLDER = "standby"


def standby_of(job: Job) -> Job:
    """The same job as seen from the standby: its data, sockets and log lie in a folder below."""
    return job.model_copy(update={"scratch": job.scratch / FOLDER})


def make_place(job: Job) -> Job:
    """Create that folder for PostgreSQL's user."""
    standby = standby_of(job)
    standby.scratch.mkdir(mode=0o700)
    osuser.give(standby.scratch, osuser.substitute())
    return standby
