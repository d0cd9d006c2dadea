"""Small real database servers, each below one directory, for whatever has to back one up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from crmops.binaries import SERVERS, tool_environment
from playbooks import osuser
from playbooks.postgres import copy_binaries

_PATIENCE = 60.0


@contextmanager
def folder(prefix: str) -> Iterator[Path]:
    """A directory of the servers' user, directly below the temporary one; removed in the end."""
    place = Path(tempfile.mkdtemp(prefix=prefix))
    osuser.give(place, osuser.substitute())
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run(command: list[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Run a program as the servers' user; what it printed."""
    user = osuser.popen_user(osuser.substitute())
    # A server that is started inherits its parent's output: a pipe would never close.
    with tempfile.TemporaryFile("w+") as out:
        done = subprocess.run(
            [str(each) for each in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            cwd="/", env=_environment(environment), check=False, **user,
        )  # fmt: skip
        out.seek(0)
        said = out.read()
    assert done.returncode == 0, f"{command[0]}: {said}"
    return said


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/", "TZ": "UTC", **(more or {})}


class PostgresServer:
    """A running PostgreSQL with a database crm, reached over a socket."""

    def __init__(self, place: Path, binaries: Path, archive_command: str) -> None:
        self.place = place
        self.data = place / "source"
        self.binaries = binaries
        if not osuser.reachable(binaries, osuser.substitute()):
            self.binaries = copy_binaries(binaries, place / "pg")
            osuser.give_tree(place / "pg", osuser.substitute())
        self._start(archive_command)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/crm?host={self.place}"

    def _start(self, archive_command: str) -> None:
        options = ["-U", "postgres", "-E", "UTF8", "--no-locale", "--auth=trust", "-k", "-N"]
        self._tool("initdb", "-D", self.data, *options)
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(
                f"listen_addresses = ''\nunix_socket_directories = '{self.place}'\n"
                f"archive_mode = on\narchive_command = '{archive_command}'\nfsync = off\n"
                "max_connections = 20\nshared_buffers = 16MB\nmax_wal_size = 1GB\n"
            )
            major = int(self._tool("postgres", "--version").split()[2].partition(".")[0])
            if major >= 17:  # incremental backups need it
                settings.write("summarize_wal = on\n")
        self._tool("pg_ctl", "-D", self.data, "-l", self.place / "log", "-w", "-t", "60", "start")
        with psycopg.connect(self.url.replace("/crm?", "/postgres?"), autocommit=True) as link:
            link.execute("create database crm")

    def _tool(self, name: str, *arguments: str | Path) -> str:
        unpacked = self.binaries.is_relative_to(SERVERS)
        environment = tool_environment() if unpacked else {}
        return run([self.binaries / name, *arguments], environment)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Each statement in a transaction of its own; the rows of the last one."""
        rows: list[tuple[Any, ...]] = []
        with psycopg.connect(self.url, autocommit=True) as link:
            for each in statements:
                cursor = link.execute(each.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def now(self) -> datetime:
        """A moment after everything that was done so far, and before all that comes."""
        moment = self.execute("select clock_timestamp()")[0][0]
        time.sleep(0.02)
        assert isinstance(moment, datetime)
        return moment

    def finish_log(self) -> None:
        """Have the log archived up to here; a commit after it is the proof that none is missing."""
        name = self.execute("select pg_walfile_name(pg_switch_wal())")[0][0]
        deadline = time.monotonic() + _PATIENCE
        while True:
            last = self.execute("select last_archived_wal from pg_stat_archiver")[0][0]
            if last is not None and last >= name:
                return
            assert time.monotonic() < deadline, f"{name} was not archived"
            time.sleep(0.05)

    def stop(self) -> None:
        pid = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        end(pid, signal.SIGINT)


def end(pid: int, number: signal.Signals) -> None:
    """End a server that we started, by its pid, and wait until it is gone."""
    os.kill(pid, number)
    deadline = time.monotonic() + _PATIENCE
    while _alive(pid):
        assert time.monotonic() < deadline, f"process {pid} does not end"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
