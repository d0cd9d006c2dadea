"""What the set-up prints, and how it runs other programs: one line a stage, the rest in a log."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
LOG = TOOLS / "setup.log"
TICK_SECONDS = 10.0


class SetupError(Exception):
    """The set-up cannot go on; `fix` says what the reader can do about it."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


class ProgramFailed(SetupError):
    """A program that a stage ran has failed; `lasting`: another way would fail just the same."""

    def __init__(self, message: str, fix: str, *, lasting: bool = False) -> None:
        super().__init__(message, fix)
        self.lasting = lasting


@dataclass(frozen=True)
class Cause:
    """A known cause of failures, recognised by what programs print about it."""

    words: tuple[str, ...]
    problem: str
    fix: str
    lasting: bool = True


CAUSES = (
    Cause(
        ("no space left", "disk quota exceeded"),
        "the disk is full",
        "free 3 GB and run it again",
    ),
    Cause(
        ("read-only file system", "permission denied"),
        "the project directory cannot be written",
        "clone it to a directory that you own",
    ),
    Cause(
        (
            "failed to fetch",
            "failed to resolve",
            "temporary failure",
            "could not resolve",
            "name or service not known",
            "connection refused",
            "network is unreachable",
            "dns error",
            "newconnectionerror",
            "timed out",
            "certificate",
        ),
        "the server of the packages could not be reached",
        "check the network; a mirror or a proxy belongs into the settings of pip (pip config) and "
        "apt, both are honoured here",
    ),
    Cause(
        ("do not match the hashes", "hash mismatch"),
        "a downloaded package is not the one that was locked",
        "do not install it: check the mirror, or run scripts/lock.sh if it is right",
    ),
    Cause(
        ("no matching distribution", "no solution found", "could not find a version"),
        "the package index lacks a locked version, or did not answer",
        "use an index that has it, or run scripts/lock.sh against yours",
        lasting=False,
    ),
)


def say(text: str) -> None:
    """Print one line of progress at once, also into a pipe."""
    print(text, flush=True)


def warn(problem: str, fix: str) -> None:
    """Print a problem that does not stop the set-up, with its fix."""
    print(f"      warning: {problem}\n      fix: {fix}", file=sys.stderr, flush=True)


def stage(number: int, total: int, title: str, body: Callable[[], str]) -> str:
    """Run one stage; `body` returns what it found, in a few words, and so does this."""
    say(f"[{number}/{total}] {title} ...")
    begun = time.monotonic()
    found = body()
    say(f"      {found} ({time.monotonic() - begun:.1f} s)")
    return found


def explain(output: str) -> Cause:
    """The likely cause of a failure, read off what the program printed."""
    text = output.lower()
    for cause in CAUSES:
        if any(word in text for word in cause.words):
            return cause
    return Cause((), "it failed", f"read {LOG.relative_to(ROOT)}", lasting=False)


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> str:
    """Run a program to its end, its output into the log, a sign of life every ten seconds.

    Returns what it printed. Raises ProgramFailed with the likely cause when it fails.
    """
    words = [str(word) for word in command]
    TOOLS.mkdir(exist_ok=True)
    begun = time.monotonic()
    with LOG.open("ab") as log:
        log.write(f"\n$ {' '.join(words)}\n".encode())
        log.flush()
        start = log.tell()
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        ) as child:
            _await(child, what, begun)
    with LOG.open("rb") as log:
        log.seek(start)
        output = log.read().decode(errors="replace")
    if child.returncode != 0:
        cause = explain(output)
        raise ProgramFailed(f"{what}: {cause.problem}", cause.fix, lasting=cause.lasting)
    return output


def _await(child: subprocess.Popen[bytes], what: str, begun: float) -> None:
    while True:
        try:
            child.wait(timeout=TICK_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"      {what}: {time.monotonic() - begun:.0f} s so far")
        except BaseException:
            child.terminate()
            raise
        else:
            return
