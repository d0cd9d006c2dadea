"""Everything at once: embedded PostgreSQL, tables, seed and server below one directory."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import fcntl
import json
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg

from refcrm import cluster, osuser, schema
from refcrm.errors import RefcrmError
from refcrm.seed import seed
from refcrm.server import Announcement, serve
from refcrm.settings import Settings

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """How much to seed into an empty database; contacts 0 leaves it with its users only."""

    contacts: int
    users: int
    seed: int
    defects: float


def up(
    directory: Path,
    settings: Settings,
    plan: SeedPlan,
    *,
    ready_file: Path | None,
    progress: Progress | None,
    announce: Callable[[dict[str, Any]], None],
) -> None:
    """Run until SIGTERM or SIGINT, then stop the server and PostgreSQL.

    announce gets the content of the ready file when requests are answered.
    Raises RefcrmError for whatever keeps it from starting.
    """
    directory = cluster.prepare(directory)
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    with _only_one(directory), _postgresql(directory) as running:
        url = running.url()
        _ensure_seeded(url, plan, _password(directory / "password"), progress)
        asyncio.run(_write_users(url, directory / "users.csv"))

        def ready(where: Announcement) -> None:
            facts = _facts(where, running)
            if ready_file is not None:
                write_atomically(ready_file, json.dumps(facts, indent=2))
            announce(facts)

        serve(replace(settings, database_url=url), announce=ready, watch=_watch(running))
    if ready_file is not None:
        # After giving up root the file may be out of reach: the next start removes it.
        with contextlib.suppress(OSError):
            ready_file.unlink(missing_ok=True)


def _interrupt(number: int, frame: object) -> None:
    """Until the server handles signals itself, SIGTERM ends the start as Ctrl-C does."""
    del number, frame
    raise KeyboardInterrupt


@contextlib.contextmanager
def _postgresql(directory: Path) -> Iterator[cluster.Cluster]:
    # Whoever holds the lock owns what runs here: a left-over of a killed run is stopped first.
    cluster.stop(directory)
    try:
        yield cluster.start(directory)
    finally:
        cluster.stop(directory)


def write_atomically(path: Path, text: str) -> None:
    """Write a private file (mode 600) under another name, then move it into place."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.rename(path)


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    # The lock goes with the process, however it ends; the file itself stays.
    with (directory / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefcrmError(
                f"another refcrm is running in {directory}",
                hint="Stop it first or choose another --dir.",
            ) from None
        yield


def _password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        password = secrets.token_urlsafe(18)
        write_atomically(path, password + "\n")
        return password


def _ensure_seeded(url: str, plan: SeedPlan, password: str, progress: Progress | None) -> None:
    if asyncio.run(_has_users(url)):
        return
    seed(
        url,
        contacts=plan.contacts,
        users=plan.users,
        seed=plan.seed,
        defects=plan.defects,
        password=password,
        progress=progress,
    )


async def _has_users(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        await schema.apply(connection)
        return bool(await connection.fetchval("select exists (select 1 from users)"))
    finally:
        await connection.close()


async def _write_users(url: str, path: Path) -> None:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select u.username, u.role, coalesce(t.name, '') as team, coalesce(u.region, '') "
            "as region from users u left join teams t on t.id = u.team_id "
            "where u.active order by u.id"
        )
    finally:
        await connection.close()
    draft = path.with_suffix(".tmp")
    with draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("username", "role", "team", "region"))
        writer.writerows(tuple(row) for row in rows)
    draft.rename(path)


def _watch(running: cluster.Cluster) -> Callable[[], str | None]:
    def gone() -> str | None:
        return None if cluster.is_running(running) else "PostgreSQL is gone"

    return gone


def _facts(where: Announcement, running: cluster.Cluster) -> dict[str, Any]:
    return {
        "url": where.url,
        "database_url": running.url(),
        "admin_database_url": running.url("postgres"),
        "audit_database_url": running.url("crm_audit"),
        "pgdata": str(running.data),
        "socket_dir": str(running.socket_dir),
        "pg_port": running.port,
        "archive_dir": str(running.archive),
        "bin_dir": str(running.bin_dir),
        "os_user": running.os_user,
        "server_pid": os.getpid(),
        "postgres_pid": running.pid,
        "users_file": str(running.directory / "users.csv"),
        "password_file": str(running.directory / "password"),
        "server_os_user": (osuser.substitute() or osuser.current()).name,
    }
