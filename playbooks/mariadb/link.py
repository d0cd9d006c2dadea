"""Connecting to a MariaDB source and to the restored copy, without a secret in sight.

The source's address lies in an option file of mode 0600 in the scratch directory; programs and
PyMySQL are only told its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import pymysql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from crmops.errors import CannotRun, ConfigError, TargetUnreachable
from crmops.secret import Secret
from playbooks import osuser
from playbooks.job import Job, write_atomically

DRILL_USER = "crmops_drill"
"""The account that the copy gets; access is by directory, so it has no password."""

Link: TypeAlias = "pymysql.Connection[Any]"
_SECONDS = 15
_PINNED = ("set time_zone = '+00:00'", "set sql_mode = ''", "set names utf8mb4")


def parse_address(address: Secret) -> dict[str, str]:
    """A SQLAlchemy address as options of MariaDB's clients.

    Raises ConfigError, without the address, if it is not one.
    """
    try:
        url = make_url(address.reveal())
    except (ArgumentError, ValueError):
        url = None
    if url is None or not url.drivername.startswith(("mysql", "mariadb")) or not url.database:
        raise ConfigError(
            "the database's address is not understood",
            hint="Use mysql://user@host:3306/database, or mysql://user@/database?unix_socket=PATH.",
        )
    socket = url.query.get("unix_socket", "")
    found = {
        "user": url.username or "",
        "password": str(url.password or ""),
        "socket": socket if isinstance(socket, str) else socket[0],
        "host": "" if socket else url.host or "localhost",
        "port": "" if socket else str(url.port or 3306),
        "database": url.database,
    }
    if any(set(value) & set("\r\n\0'\"") for value in found.values()):
        raise ConfigError(
            "the database's address has a quote or a line break in it",
            hint="Give the role that takes backups a password without them.",
        )
    return {key: value for key, value in found.items() if value}


def write_options(job: Job, options: Mapping[str, str]) -> None:
    """Write the option file for the servers' user, readable for nobody else.

    The database stands apart: mariadb-backup refuses options that it does not know.
    """
    lines = ["[client]", *(f'{key}="{_escaped(value)}"' for key, value in options.items()
                           if key != "database")]  # fmt: skip
    text = "\n".join([*lines, "[crmops]", f'database="{options["database"]}"']) + "\n"
    write_atomically(job.services, text)
    osuser.give(job.services, osuser.substitute())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\")


def _option(job: Job, name: str) -> str:
    for line in job.services.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == name:
            return value.strip('"').replace("\\\\", "\\")
    return ""


@contextmanager
def source_link(job: Job) -> Iterator[Link]:
    """A connection to the source, each statement its own transaction.

    Raises TargetUnreachable, with the server's words but never the address.
    """
    with _connect(
        host=_option(job, "host") or None,
        port=int(_option(job, "port") or 3306),
        unix_socket=_option(job, "socket") or None,
        user=_option(job, "user"),
        password=_option(job, "password"),
        database=_option(job, "database"),
    ) as link:
        yield link


@contextmanager
def copy_link(job: Job, database: str | None) -> Iterator[Link]:
    """A connection to the restored copy, over its socket."""
    place = str(socket_of(job))
    with _connect(unix_socket=place, user=DRILL_USER, database=database) as link:
        yield link


def copy_address(job: Job, database: str) -> str:
    """The restored copy's address as SQLAlchemy takes it; access is by directory."""
    place = quote(str(socket_of(job)), safe="")
    return f"mysql+pymysql://{DRILL_USER}@/{quote(database, safe='')}?unix_socket={place}"


def socket_of(job: Job) -> Path:
    """Where the copy listens, and nowhere else."""
    return job.sockets / "s"


@contextmanager
def _connect(**place: Any) -> Iterator[Link]:
    try:
        link = pymysql.connect(
            autocommit=True, connect_timeout=_SECONDS, charset="utf8mb4",
            **{key: value for key, value in place.items() if value is not None},
        )  # fmt: skip
    except (pymysql.MySQLError, OSError) as error:
        raise TargetUnreachable(
            f"the database does not let us in: {words(error)}",
            hint="Look at database.backup_url (or url) of the target, and at its grants.",
        ) from None
    try:
        for each in _PINNED:
            rows(link, each)
        yield link
    except pymysql.OperationalError as error:
        raise CannotRun(f"the database went away: {words(error)}") from None
    except pymysql.MySQLError as error:
        raise CannotRun(f"the database refused: {words(error)}") from None
    finally:
        link.close()


def rows(link: Link, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Every row of a query."""
    with link.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return list(cursor.fetchall())


def words(error: Exception) -> str:
    """A database's message in one line, without its number."""
    text = str(error.args[-1]) if error.args else type(error).__name__
    return (text.strip().splitlines() or [type(error).__name__])[0]
