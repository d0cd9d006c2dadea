"""Other programs that back PostgreSQL up, as sides of a bench, each on a server of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from crmops.binaries import find_binary, libraries_for, system_postgres, tool_environment
from crmops.secret import Secret
from crmops.target import BackupAccess, DatabaseAccess, Target
from playbooks import osuser
from playbooks.postgres import copy_binaries

SIDES = ("postgresql", "pgbackrest", "barman")


def found_sides() -> list[str]:
    """The sides that this machine has programs for; none without a PostgreSQL of the system."""
    if system_postgres() is None:
        return []
    return [each for each in SIDES if each == "postgresql" or find_binary(each) is not None]


@contextmanager
def server(side: str, place: Path) -> Iterator[Target]:
    """A PostgreSQL of the system whose log goes where a side looks for it."""
    place.mkdir(mode=0o755)
    osuser.give(place, osuser.substitute())
    binaries = system_postgres()
    assert binaries is not None
    if not osuser.reachable(binaries, osuser.substitute()):
        binaries = copy_binaries(binaries, place / "pg")
        osuser.give_tree(place / "pg", osuser.substitute())
    command = _archiving(side, place)
    _run(binaries, "initdb", "-D", place / "source", "-U", "postgres", "-E", "UTF8", "--no-locale",
         "--auth=trust", "-k", "-N")  # fmt: skip
    with (place / "source" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(
            f"listen_addresses = ''\nunix_socket_directories = '{place}'\narchive_mode = on\n"
            f"archive_command = '{command}'\nmax_wal_size = 2GB\nshared_buffers = 256MB\n"
        )
    _run(binaries, "pg_ctl", "-D", place / "source", "-l", place / "log", "-w", "-t", "120",
         "start")  # fmt: skip
    try:
        with psycopg.connect(host=str(place), user="postgres", dbname="postgres",
                             autocommit=True) as link:  # fmt: skip
            link.execute("create database crm")
        yield _target(side, place)
    finally:
        _stop(place / "source")


def _archiving(side: str, place: Path) -> str:
    """What the server archives with, and the directory that it is to reach."""
    repository = place / "repository"
    if side == "pgbackrest":
        config = place / "archive.conf"
        config.write_text(
            f"[global]\nrepo1-path={repository}\nlog-level-file=off\nlog-level-console=off\n"
            f"lock-path={place}/lock\n[crm]\npg1-path={place}/source\npg1-socket-path={place}\n"
            "pg1-user=postgres\n"
        )
        osuser.give(config, osuser.substitute())
        libraries = tool_environment().get("LD_LIBRARY_PATH", "")
        program = f"env LD_LIBRARY_PATH={libraries} {find_binary('pgbackrest')}"
        return f"{program} --config={config} --stanza=crm archive-push %p"
    into = repository / "crm" / "incoming" if side == "barman" else place / "archive"
    into.mkdir(mode=0o700, parents=True)
    for each in (repository, into):
        if each.exists():
            osuser.give_tree(each, osuser.substitute())
    return f"cp %p {into}/%f.tmp && mv {into}/%f.tmp {into}/%f"


def _target(side: str, place: Path) -> Target:
    access = DatabaseAccess(
        url=Secret(f"postgresql://postgres@/crm?host={place}"),
        data_directory=str(place / "source"),
        archive_directory=str(place / "archive") if side == "postgresql" else "",
    )
    backup = BackupAccess(provider=side, repository=str(place / "repository"))
    return Target(
        name="crm", connector="refcrm", url="http://127.0.0.1:9", database=access, backup=backup
    )


def _run(binaries: Path, name: str, *arguments: str | Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/", "TZ": "UTC"}
    user = osuser.popen_user(osuser.substitute())
    # A server that is started inherits its parent's output: a pipe would never close.
    with tempfile.TemporaryFile() as out:
        subprocess.run(
            [str(binaries / name), *map(str, arguments)], check=True, cwd="/",
            env={**environment, **libraries_for(binaries)}, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, **user,
        )  # fmt: skip


def _stop(data: Path) -> None:
    pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    os.kill(pid, signal.SIGINT)
    until = time.monotonic() + 60
    while (data / "postmaster.pid").exists() and time.monotonic() < until:
        time.sleep(0.1)
