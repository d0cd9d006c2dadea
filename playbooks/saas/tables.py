"""A scratch PostgreSQL with a table an entity, built from the CRM's own description."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg import sql

from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.instance import start, wait_until
from playbooks.job import Job
from playbooks.postgres import run_tool
from playbooks.saas.values import COLUMNS, FieldShape, Unfit, normal
from playbooks.source import Connection

USER = DATABASE = "postgres"
BODY = "_body"
"""Column with the record as the API gave it."""

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "off",
    "archive_mode": "off",
    "max_connections": "20",
    "timezone": "UTC",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_error_verbosity": "terse",
    "logging_collector": "off",
}


def provision(job: Job) -> int:
    """Make and start an empty instance in the scratch directory; its pid."""
    done = run_tool(
        job, "initdb", "-D", job.data, "-U", USER, "-E", "UTF8", "--no-locale", "--auth=trust",
        "--no-sync", seconds=300,
    )  # fmt: skip
    if done.code != 0:
        raise CannotRun(f"a scratch PostgreSQL was not made: {done.last_line}")
    settings = {**_SETTINGS, "unix_socket_directories": str(job.sockets)}
    with (job.data / "postgresql.conf").open("a", encoding="utf-8") as stream:
        stream.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    osuser.give(job.data / "postgresql.conf", osuser.substitute())
    pid = start(job)
    wait_until(job, pid, USER, b"select true")
    return pid


def create(link: Connection, entity: str, fields: tuple[FieldShape, ...]) -> None:
    """A table of an entity; ``id`` is its key."""
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(each.name), sql.SQL(COLUMNS.get(each.kind, "text")))
        for each in fields
        if each.name != "id"
    ]
    link.execute(
        sql.SQL("create table {} (id text primary key, {} text not null, {})").format(
            sql.Identifier(entity), sql.Identifier(BODY), sql.SQL(", ").join(columns)
        )
    )


def fill(
    link: Connection, entity: str, fields: tuple[FieldShape, ...], path: Path
) -> tuple[int, dict[str, int]]:
    """Load a file of NDJSON; how many records, and values by field that are not of their kind."""
    names = [each for each in fields if each.name != "id"]
    listed = sql.SQL(", ").join(map(sql.Identifier, ("id", BODY, *(e.name for e in names))))
    unfit: dict[str, int] = {}
    count = 0
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(entity), listed)
    with link.cursor() as cursor, cursor.copy(statement) as copy:
        for line, record in lines_of(path):
            row = [_fit(record.get(each.name), each, unfit) for each in names]
            copy.write_row((str(record["id"]), line.replace("\\u0000", ""), *row))
            count += 1
    return count, unfit


def _fit(value: Any, field: FieldShape, unfit: dict[str, int]) -> Any:
    try:
        return normal(value, field.kind)
    except Unfit:
        unfit[field.name] = unfit.get(field.name, 0) + 1
        return None


def lines_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line of a file of NDJSON with its record."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield line.rstrip("\n"), json.loads(line)


def forget(place: Path) -> None:
    """Remove the plaintext of a snapshot."""
    shutil.rmtree(place, ignore_errors=True)
