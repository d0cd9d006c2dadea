"""The two kinds of database server that a provider may be for, and what differs between them.

A stage is looked for among the engine's own first, so that the playbooks are the same for both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from crmops.binaries import need_binary
from crmops.secret import Secret
from crmops.target import DatabaseAccess
from playbooks import mariadb, osuser
from playbooks.catalogue import Manifest
from playbooks.job import Job
from playbooks.mariadb.system import logs_between, split_place
from playbooks.postgres import copy_binaries, find_binaries
from playbooks.source import copy_address, parse_address, server_major, write_service
from playbooks.wal import parse_lsn, segments


class Engine(Protocol):
    """What has to be known of a kind of server before its stages run.  ``stages`` is a package."""

    name: str
    stages: str

    def binaries(self, access: DatabaseAccess | None, major: int | None) -> Path:
        """Where the server's programs are.  Raises CannotRun when they are not there."""

    def major(self, address: Secret) -> int | None:
        """The version of the source; None when it does not matter or cannot be asked."""

    def introduce(self, job: Job, address: Secret) -> None:
        """Write the source's address where the stages find it, readable for nobody else.

        Raises ConfigError, without the address, if it is not understood.
        """

    def reachable(self, job: Job) -> Job:
        """The job with programs that the servers' user can reach."""

    def logs(self, manifest: Manifest) -> list[str]:
        """The files of the log that recovery to the backup's named instant reads."""

    def copy_address(self, job: Job, manifest: Manifest) -> str:
        """The restored copy's address; there is no password in it, access is by directory."""


class PostgresqlEngine:
    """PostgreSQL, 14 and newer."""

    name = "postgresql"
    stages = "playbooks.stages"

    def binaries(self, access: DatabaseAccess | None, major: int | None) -> Path:
        """The configured ones, else those of the version."""
        return find_binaries(access.binaries if access else "", major)

    def major(self, address: Secret) -> int | None:
        """Asked over the network protocol: programs are chosen by it."""
        return server_major(parse_address(address))

    def introduce(self, job: Job, address: Secret) -> None:
        """A service file of libpq."""
        write_service(job, parse_address(address))

    def reachable(self, job: Job) -> Job:
        """Programs in a home directory of root's are copied."""
        if osuser.reachable(job.binaries, osuser.substitute()):
            return job
        return job.model_copy(update={"binaries": copy_binaries(job.binaries, job.scratch / "pg")})

    def logs(self, manifest: Manifest) -> list[str]:
        """Segments, from the backup's begin."""
        first, last = parse_lsn(manifest.start_lsn), parse_lsn(manifest.point_lsn)
        return list(segments(manifest.timeline, first, last, manifest.segment_bytes))

    def copy_address(self, job: Job, manifest: Manifest) -> str:
        """As libpq and SQLAlchemy take it."""
        return copy_address(job.sockets, manifest.database, manifest.superuser)


class MariadbEngine:
    """MariaDB, 10.6 and newer."""

    name = "mariadb"
    stages = "playbooks.stages.mariadb"

    def binaries(self, access: DatabaseAccess | None, major: int | None) -> Path:
        """Where mariadbd is."""
        return need_binary("mariadbd").parent

    def major(self, address: Secret) -> int | None:
        """One installation has the programs of one version only."""
        mariadb.parse_address(address)
        return None

    def introduce(self, job: Job, address: Secret) -> None:
        """An option file of MariaDB's clients."""
        mariadb.write_options(job, mariadb.parse_address(address))

    def reachable(self, job: Job) -> Job:
        """Programs that only root reaches are refused by the stages that need them."""
        return job

    def logs(self, manifest: Manifest) -> list[str]:
        """Binary logs, from where the files were copied."""
        first, last = split_place(manifest.start_lsn)[0], split_place(manifest.point_lsn)[0]
        return logs_between(first, last)

    def copy_address(self, job: Job, manifest: Manifest) -> str:
        """As SQLAlchemy takes it."""
        return mariadb.copy_address(job, manifest.database)


POSTGRESQL: Engine = PostgresqlEngine()
MARIADB: Engine = MariadbEngine()
