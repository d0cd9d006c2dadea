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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from crmops import binaries
from crmops.binaries import libraries_for, need_binary
from playbooks import osuser
from playbooks.mariadb.link import Link, rows
from playbooks.postgres import copy_binaries

PLANTED = "planted-Pa55word-of-MariaDB"
"""The password of the account that takes backups; it must turn up nowhere."""

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


@contextmanager
def reachable_tools() -> Iterator[None]:
    """The unpacked programs where the servers' user can reach them, copied if need be.

    Only a project in a home directory of root's needs it; what is installed is reachable.
    """
    found, user = binaries.SERVERS, osuser.substitute()
    if not found.is_dir() or osuser.reachable(found, user):
        yield
        return
    place = Path(tempfile.mkdtemp(prefix="crmops-tools-"))
    try:
        shutil.copytree(found, place / "servers", symlinks=True)
        place.chmod(0o711)
        binaries.SERVERS = place / "servers"
        yield
    finally:
        binaries.SERVERS = found
        shutil.rmtree(place)


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
        return run([self.binaries / name, *arguments], libraries_for(self.binaries))

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


class MariadbServer:
    """A running MariaDB with a database crm, reached over a socket."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.data = place / "source"
        self.logs = place / "binlogs"
        self.socket = place / "socket"
        program = need_binary("mariadbd")
        base = program.resolve().parent.parent
        for each in (self.data, self.logs, place / "tmp"):
            each.mkdir(mode=0o700)
            osuser.give(each, osuser.substitute())
        libraries = libraries_for(program)
        options: list[str | Path] = ["--no-defaults", f"--basedir={base}", f"--datadir={self.data}"]
        made = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        run([need_binary("mariadb_install_db"), *options, *made], libraries)
        options += [
            f"--socket={self.socket}", f"--log-bin={self.logs}/binlog", "--server-id=7",
            f"--tmpdir={place}/tmp", "--skip-networking", "--innodb-buffer-pool-size=16M",
            f"--lc-messages-dir={base}/share/mysql", "--innodb-flush-log-at-trx-commit=2",
            f"--log-error={place}/log", f"--pid-file={place}/pid",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [str(program), *map(str, options)], cwd="/", env=_environment(libraries),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **osuser.popen_user(osuser.substitute()),
        )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((place / "log").read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.05)
        with self.link(None) as link:
            rows(link, "create database crm")
            rows(link, f"create user crmops_backup@localhost identified by '{PLANTED}'")
            rows(link, "grant select, reload, process, lock tables, binlog monitor, show view,"
                       " trigger, event on *.* to crmops_backup@localhost")  # fmt: skip

    @property
    def url(self) -> str:
        return f"mysql://crmops_backup:{PLANTED}@/crm?unix_socket={self.socket}"

    def link(self, database: str | None = "crm") -> Link:
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, autocommit=True
        )

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Each statement in a transaction of its own; the rows of the last one."""
        with self.link() as link:
            return [rows(link, each) for each in statements][-1]

    def now(self) -> datetime:
        """The begin of a second after everything so far: the binary log knows no less."""
        time.sleep(1.05 - time.time() % 1)
        return datetime.now(UTC)

    def finish_log(self) -> None:
        """A binary log that was written to its end."""
        self.execute("flush binary logs")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


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
