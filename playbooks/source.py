"""Connecting to the source database and to the restored copy, without a secret in sight.

The source's address is written once, into a libpq service file of mode 0600 in the scratch
directory; programs and psycopg are only told the service's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from crmops.errors import CannotRun, ConfigError, TargetUnreachable
from crmops.secret import Secret
from crmops.target import Target
from playbooks import osuser
from playbooks.job import Job, write_atomically

SERVICE = "crmops_source"
Connection = psycopg.Connection[tuple[Any, ...]]


def source_address(target: Target) -> Secret:
    """The address that backups connect to.  Raises ConfigError if the target names none."""
    access = target.database
    if access is None:
        raise ConfigError(
            f"target {target.name!r} has no database",
            hint="Add database.url to the target; backups need a role with REPLICATION.",
        )
    return access.backup_url or access.url


def parse_address(address: Secret) -> dict[str, str]:
    """A libpq or SQLAlchemy address as libpq's parameters.

    Raises ConfigError, without the address, if it is not one.
    """
    text = address.reveal()
    scheme, separator, rest = text.partition("://")
    if separator:
        text = f"{scheme.partition('+')[0]}://{rest}"
    try:
        found = {key: str(value) for key, value in conninfo_to_dict(text).items()}
    except psycopg.Error:
        found = {}
    if not found or any(set(value) & set("\r\n\0") for value in found.values()):
        raise ConfigError(
            "the database's address is not understood",
            hint="Use postgresql://user@host:port/database, or libpq's host=... dbname=...",
        )
    return found


def write_service(job: Job, parameters: dict[str, str]) -> None:
    """Write the service file for PostgreSQL's user, readable for nobody else."""
    lines = [f"[{SERVICE}]", *(f"{key}={value}" for key, value in sorted(parameters.items()))]
    write_atomically(job.services, "\n".join(lines) + "\n")
    osuser.give(job.services, osuser.substitute())


def server_major(parameters: dict[str, str]) -> int | None:
    """The major version of the source; None when it cannot be reached, which a stage will say."""
    try:
        text = psycopg.conninfo.make_conninfo("", **{"connect_timeout": "15", **parameters})
        with psycopg.connect(text) as connection:
            return connection.info.server_version // 10000
    except psycopg.Error:
        return None


def service_parameters(job: Job) -> dict[str, str]:
    """The source's address as it stands in the service file; nothing when there is none."""
    try:
        lines = job.services.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def password_file(job: Job) -> dict[str, str]:
    """The environment by which libpq finds the source's password, for programs without services."""
    password = service_parameters(job).get("password")
    if not password:
        return {}
    path = job.scratch / "passwords"
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    write_atomically(path, f"*:*:*:*:{escaped}\n")
    osuser.give(path, osuser.substitute())
    return {"PGPASSFILE": str(path)}


def secrets_of(parameters: dict[str, str]) -> tuple[str, ...]:
    """The values that must appear nowhere."""
    return tuple(v for k, v in parameters.items() if k in ("password", "sslpassword") and v)


@contextmanager
def source_connection(job: Job) -> Iterator[Connection]:
    """A connection to the source, each statement its own transaction.

    Raises TargetUnreachable, with the server's words but never the address.
    """
    os.environ["PGSERVICEFILE"] = str(job.services)
    with _connect(f"service={SERVICE} application_name=crmops connect_timeout=15") as connection:
        yield connection


@contextmanager
def copy_connection(job: Job, database: str, user: str) -> Iterator[Connection]:
    """A connection to the restored copy, over its socket."""
    text = psycopg.conninfo.make_conninfo(
        host=str(job.sockets), dbname=database, user=user, connect_timeout=15
    )
    with _connect(text) as connection:
        yield connection


def copy_address(sockets: Path, database: str, user: str) -> str:
    """The restored copy's address; there is no password in it, access is by directory."""
    return f"postgresql://{user}@/{database}?host={sockets}"


@contextmanager
def _connect(text: str) -> Iterator[Connection]:
    try:
        connection = psycopg.connect(text, autocommit=True)
    except psycopg.Error as error:
        raise TargetUnreachable(
            f"the database does not let us in: {first_line(error)}",
            hint="Look at database.backup_url (or url) of the target, and at pg_hba.conf.",
        ) from None
    try:
        yield connection
    except psycopg.OperationalError as error:
        raise CannotRun(f"the database went away: {first_line(error)}") from None
    except psycopg.Error as error:
        raise CannotRun(f"the database refused: {first_line(error)}") from None
    finally:
        connection.close()


def one_row(
    connection: Connection, query: bytes, parameters: Sequence[Any] = ()
) -> tuple[Any, ...]:
    """The one row of a query.  Raises CannotRun if there is none."""
    row = connection.execute(query, parameters or None).fetchone()
    if row is None:
        raise CannotRun("the database answered with no row")
    return row


def first_line(error: Exception) -> str:
    """The first line of a database's message: the rest may quote rows."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
