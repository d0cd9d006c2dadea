"""The set-up behind `make setup`, `make demo`, `make test` and `make check`.

Standard library only: it runs before there is a virtual environment. Everything goes into .venv and
.tools inside the project. A stage that is done is stamped with a hash of what it was made from, so
the second time takes no network and less than a second.

    python3 -m scripts.setup [--for all|demo] [--python PROGRAM] [--strict]
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from scripts import setup_debian, setup_python, setup_spark
from scripts.setup_ui import LOG, ROOT, TOOLS, VENV, SetupError, say, stage

STAMP = VENV / ".crmops-setup.json"
NEEDED_BYTES = 3_000_000_000
EXIT_CANNOT_RUN, EXIT_INTERRUPTED = 4, 130


def digest(minor: tuple[int, int]) -> str:
    """A hash of all that .venv is made from: locks, what pyproject.toml declares, Python, place."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tools = project.pop("tool", {})
    parts = hashlib.sha256(json.dumps([minor, str(ROOT), project, tools.get("hatch")]).encode())
    for file in (setup_python.lock_file(minor), setup_python.LOCKS / "bootstrap.txt"):
        parts.update(file.read_bytes())
    return parts.hexdigest()


def stamped(key: str) -> str:
    """What .venv was last completed with, by key; empty when it never was."""
    try:
        return str(json.loads(STAMP.read_text())[key])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def workspace() -> str:
    """Check that the project directory can be written and has room, before anything is fetched."""
    try:
        TOOLS.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=TOOLS):
            pass
    except OSError as cause:
        raise _unwritable(cause) from cause
    free = shutil.disk_usage(ROOT).free
    if not stamped("digest") and free < NEEDED_BYTES:
        raise SetupError(
            f"{free / 1e9:.1f} GB free on the disk of {ROOT}, the set-up takes 2 to 3 GB",
            "free some space, or clone the project to a larger disk",
        )
    return f"{free / 1e9:.0f} GB free"


def _unwritable(cause: OSError) -> SetupError:
    where = cause.filename or ROOT
    if str(where).startswith(f"{ROOT}{os.sep}"):
        where = ROOT
    if cause.errno in {errno.ENOSPC, errno.EDQUOT}:
        return SetupError(f"the disk of {ROOT} is full", "free 3 GB and run it again")
    if cause.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        fix = "clone the project to a directory that you own"
        return SetupError(f"{where} cannot be used: {cause.strerror}", fix)
    return SetupError(f"{where}: {cause.strerror or cause}", "mend that and run it again")


def environment(wanted: str) -> str:
    """Bring .venv up to its lock file; nothing to do when its stamp says so."""
    have = setup_python.current()
    same = have and (not wanted or setup_python.choose(wanted).version == have.version)
    if have and same and have.supported and stamped("digest") == digest(have.minor):
        return f"up to date: {have}"
    if stamped("root") not in {"", str(ROOT)}:
        shutil.rmtree(
            VENV
        )  # the project was moved or copied: the programs in it name the old place
    STAMP.unlink(missing_ok=True)
    say(f"      {setup_python.make_venv(wanted)}")
    home = setup_python.current()
    if home is None:
        raise SetupError(".venv was made but its Python does not start", "remove .venv, try again")
    found = setup_python.install_packages(home)
    STAMP.write_text(json.dumps({"digest": digest(home.minor), "root": str(ROOT)}))
    return found


@contextmanager
def only_one() -> Iterator[None]:
    """Two set-ups of one checkout at once would spoil each other: the second one waits."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up of this checkout is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(purpose: str, wanted: str, *, strict: bool) -> int:
    """All stages in their order; the exit code."""
    stages: list[tuple[str, Callable[[], str]]] = [
        ("Workspace", workspace),
        ("Python packages in .venv", lambda: environment(wanted)),
        ("Prometheus and Alertmanager", setup_debian.install_servers),
    ]
    if purpose == "all":
        stages.append(("Chromium, for tests only", setup_debian.install_browser))
        stages.append(("Databases and backup programs, for tests", setup_debian.install_tested))
        stages.append(("Spark, for tests and audits in a lake", setup_spark.install_spark))
    found = [stage(n, len(stages), *titled) for n, titled in enumerate(stages, start=1)]
    return EXIT_CANNOT_RUN if strict and setup_debian.MISSING in found else 0


def main(words: Sequence[str] | None = None) -> int:
    """Parse the command line, set up, and say every failure in two lines."""
    parser = argparse.ArgumentParser(description="set up crmops in .venv and .tools")
    parser.add_argument("--for", dest="purpose", choices=("all", "demo"), default="all")
    parser.add_argument("--python", default="", help="interpreter for .venv")
    parser.add_argument("--strict", action="store_true", help="a missing server or browser fails")
    options = parser.parse_args(words)
    if os.geteuid() == 0:
        os.umask(0o022)  # the demo's servers leave root and must be able to read what is made here
    try:
        workspace()
        with only_one():
            LOG.unlink(missing_ok=True)
            return set_up(options.purpose, options.python, strict=options.strict)
    except SetupError as failed:
        say_failure(str(failed), failed.fix)
    except KeyboardInterrupt:
        say_failure("interrupted", "run it again: what is done is kept")
        return EXIT_INTERRUPTED
    except OSError as cause:
        refused = _unwritable(cause)
        say_failure(str(refused), refused.fix)
    return EXIT_CANNOT_RUN


def say_failure(problem: str, fix: str) -> None:
    """The two lines that end a set-up which failed."""
    print(f"setup: {problem}\n  fix: {fix}", file=sys.stderr, flush=True)
    if LOG.exists():
        print(f"  log: {LOG.relative_to(ROOT)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
