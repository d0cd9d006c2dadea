"""MariaDB's programs, and the isolated instance that a drill starts on a restored copy."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from crmops.binaries import libraries_for, need_binary
from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.errors import CheckFailed
from playbooks.job import Job, write_atomically
from playbooks.mariadb.link import DRILL_USER, copy_link, rows, socket_of
from playbooks.postgres import Done, environment_of, run_program

_POLL = 0.05
_STOP_SECONDS = 20.0
_GTID = re.compile(rb"^#(\d{6})\s+(\d+):(\d\d):(\d\d) server id .*\sGTID \d")
_EVENT = re.compile(rb"^#(\d{6})\s+(\d+):(\d\d):(\d\d) server id ")


def run_tool(job: Job, name: str, *arguments: str | Path) -> Done:
    """Run one of MariaDB's programs (a name of `crmops.binaries`) to its end."""
    program = need_binary(name)
    return run_program(
        job, program, *arguments, environment=libraries_for(program), seconds=job.settings.timeout
    )


def options_of(job: Job) -> Path:
    """The option file of the copy's server."""
    return job.scratch / "copy.cnf"


def log_of(job: Job) -> Path:
    """The copy's log."""
    return job.scratch / "mariadbd.log"


def write_options(job: Job, settings: Mapping[str, str]) -> None:
    """Give the copy options of its own; nothing of the source's acts in it."""
    program = need_binary("mariadbd")
    base = program.resolve().parent.parent
    opening = job.scratch / "copy.sql"
    lines = {
        "datadir": job.data, "socket": socket_of(job), "pid-file": job.scratch / "copy.pid",
        "log-error": log_of(job), "tmpdir": job.scratch, "init-file": opening, "basedir": base,
        "lc-messages-dir": base / "share" / "mysql", "plugin-dir": base / "lib" / "mysql/plugin",
        "port": 3306, "event-scheduler": "OFF", "max-allowed-packet": "1G", **settings,
    }  # fmt: skip
    flags = ("skip-networking", "skip-slave-start", "skip-log-bin", "skip-name-resolve")
    text = "\n".join(["[mariadbd]", *flags, *(f"{key}={value}" for key, value in lines.items())])
    account = f"{DRILL_USER}@localhost"
    statements = (
        f"create or replace user {account} identified by '';\n"
        f"grant all on *.* to {account} with grant option;\n"
    )
    for path, content in ((options_of(job), text + "\n"), (opening, statements)):
        write_atomically(path, content)
        osuser.give(path, osuser.substitute())


def start(job: Job) -> int:
    """Start the copy in the background and wait until it answers; its pid.

    Raises CheckFailed, with the server's reason, when it gives up; CannotRun when it is too slow.
    """
    job.sockets.mkdir(mode=0o700, exist_ok=True)
    osuser.give(job.sockets, osuser.substitute())
    program = need_binary("mariadbd")
    done = run_program(
        job, Path("/bin/sh"), "-c", '"$@" >/dev/null 2>&1 & echo $!', "sh", program,
        f"--defaults-file={options_of(job)}", environment=libraries_for(program), seconds=60,
    )  # fmt: skip
    pid = int(done.out)
    deadline = time.monotonic() + job.settings.recovery_wait
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            raise CheckFailed(f"the restored instance gave up: {last_error(job)}")
        if socket_of(job).exists() and _answers(job):
            return pid
        time.sleep(_POLL)
    raise CannotRun("the restored instance does not answer", hint="Raise drills.recovery_wait.")


def _answers(job: Job) -> bool:
    try:
        with copy_link(job, None) as link:
            return bool(rows(link, "select 1"))
    except CannotRun:
        return False


def stop(job: Job) -> bool:
    """End the copy by its pid; whether one was running.  Its data is forfeit."""
    pid = pid_of(job)
    if pid is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.kill(pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            if pid_of(job) is None:
                return True
            time.sleep(_POLL)
    raise CannotRun(f"the scratch instance (pid {pid}) does not end")


def pid_of(job: Job) -> int | None:
    """The living server of the copy, or None."""
    try:
        pid = int((job.scratch / "copy.pid").read_text(encoding="utf-8"))
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if state != "Z" and os.fsencode(options_of(job)) in command else None


def require_alive(job: Job) -> None:
    """Raise CannotRun when the copy's server has ended meanwhile."""
    if pid_of(job) is None:
        raise CannotRun(f"the restored instance was killed: {last_error(job)}")


def last_error(job: Job) -> str:
    """The last complaint in the copy's log."""
    try:
        lines = log_of(job).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "it ended without a word"
    found = [each for each in lines if "[ERROR]" in each]
    return found[-1].partition("[ERROR] ")[2] if found else "it ended without a word"


def replay(job: Job, *arguments: str | Path) -> datetime | None:
    """Play binary logs into the copy; the second of the last transaction, None without any.

    Raises CheckFailed when a log cannot be read or the copy refuses what is in it.
    """
    last: datetime | None = None
    reader, writer = _reader(job, arguments), _writer(job)
    with reader, writer:
        if reader.stdout is None or writer.stdin is None:
            raise CannotRun("the log cannot be replayed")
        try:
            for line in reader.stdout:
                if found := _GTID.match(line):
                    last = _moment(found)
                writer.stdin.write(line)
            writer.stdin.close()
        except BrokenPipeError:
            reader.kill()
        codes = (writer.wait(), reader.wait())
    if any(codes):
        raise CheckFailed(f"the log was not replayed: {_said(job, codes)}")
    return last


def events_from(job: Job, moment: datetime, *logs: Path) -> Iterator[datetime]:
    """The second of every event at ``moment`` or after it."""
    wanted = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    with _reader(job, (f"--start-datetime={wanted}", *logs)) as reader:
        for line in reader.stdout or ():
            if (found := _EVENT.match(line)) and (second := _moment(found)) >= moment:
                yield second


def _reader(job: Job, arguments: tuple[str | Path, ...]) -> subprocess.Popen[bytes]:
    program = need_binary("mariadb_binlog")
    return _popen(job, program, ["--no-defaults", *map(str, arguments)], stdout=subprocess.PIPE)


def _writer(job: Job) -> subprocess.Popen[bytes]:
    program = need_binary("mariadb")
    options = ["--no-defaults", f"--user={DRILL_USER}", f"--socket={socket_of(job)}"]
    return _popen(job, program, [*options, "--binary-mode"], stdin=subprocess.PIPE)


def _popen(
    job: Job, program: Path, arguments: list[str], *, stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:  # fmt: skip
    with (job.scratch / f"{program.name}.err").open("wb") as errors:
        return subprocess.Popen(
            [str(program), *arguments], cwd="/", env=environment_of(job, libraries_for(program)),
            stdin=stdin, stdout=stdout, stderr=errors, **osuser.popen_user(osuser.substitute()),
        )  # fmt: skip


def _said(job: Job, codes: tuple[int, int]) -> str:
    for code, name in zip(codes, ("mariadb", "mariadb_binlog"), strict=True):
        path = job.scratch / f"{need_binary(name).name}.err"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if code and (found := [each for each in lines if "ERROR" in each]):
            return found[-1].partition("ERROR")[2].lstrip(": ")[:200]
    return "its programs give no reason"


def _moment(found: re.Match[bytes]) -> datetime:
    day, hour, minute, second = (each.decode() for each in found.groups())
    text = f"{day} {hour.zfill(2)}:{minute}:{second}"
    return datetime.strptime(text, "%y%m%d %H:%M:%S").replace(tzinfo=UTC)
