"""Keeps a job for a playbook that is run by hand: ``python -m playbooks.keeper open|close``.

crmops runs its playbooks itself and judges what they did.  Run by plain ``ansible-playbook``, a
playbook opens a job first: a process of its own then holds the target's lock and the open Run,
as crmops would, until the playbook closes the job, goes away or takes too long.

    <state>/doors/<random>/    mode 0700
        ready.json             what the playbook needs to know
        done.json              how it ended
        result.json            the recorded Run
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from crmops.cli_support import Context, context, set_context
from crmops.errors import CannotRun, CrmopsError, ExitCode, UsageError
from crmops.record import Run, utc_now
from playbooks.job import Job, parse_time, write_atomically

if TYPE_CHECKING:
    from playbooks.run import Room
    from playbooks.runner import Ending, Progress

READY, DONE, RESULT, LOG = "ready.json", "done.json", "result.json", "log"
_POLL = 0.1
_OPEN_SECONDS = 180.0
_CLOSE_SECONDS = 600.0
_EXITS = {"pass": ExitCode.PASS, "fail": ExitCode.FAIL, "unknown": ExitCode.UNKNOWN}


def main(arguments: Sequence[str]) -> int:
    """Open, hold or close a job; errors are one line and a hint on stderr."""
    given = _parser().parse_args(arguments)
    try:
        if given.action == "close":
            return _close(Path(given.door), given.status)
        set_context(Context(config_path=Path(given.config) if given.config else None))
        return _open(given, arguments) if given.action == "open" else _hold(given)
    except CrmopsError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return int(error.exit_code)
    finally:
        context().close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m playbooks.keeper", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for name in ("open", "hold"):
        opened = actions.add_parser(name)
        opened.add_argument("what", choices=sorted(_WORKS))
        for option in (
            "config",
            "target",
            "to",
            "identity",
            "operator",
            "approver",
            "plan",
            "into",
        ):
            opened.add_argument(f"--{option}", default="")
        opened.add_argument("--backup", default="latest")
        opened.add_argument("--from", dest="place", choices=["here", "offsite"], default="here")
        opened.add_argument("--door", default="")
        opened.add_argument("--watch", type=int, default=0)
    closed = actions.add_parser("close")
    closed.add_argument("door")
    closed.add_argument("status", choices=["successful", "failed"])
    return parser


def _open(given: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Start the keeper and print what it has prepared."""
    doors = context().config.state_dir / "doors"
    doors.mkdir(mode=0o700, parents=True, exist_ok=True)
    door = Path(tempfile.mkdtemp(prefix="", dir=doors)).absolute()
    command = [sys.executable, "-P", "-m", "playbooks.keeper", "hold", *arguments[1:]]
    with (door / LOG).open("wb") as log:
        keeper = subprocess.Popen(
            [*command, "--door", str(door), "--watch", str(_ansible())],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    ready = _wait(door / READY, _OPEN_SECONDS, lambda: keeper.poll() is not None)
    if ready is None:
        return _give_up(keeper, door)
    sys.stdout.write(json.dumps({**ready, "door": str(door)}) + "\n")
    return 0


def _give_up(keeper: subprocess.Popen[bytes], door: Path) -> int:
    """The keeper ended, or is too slow: its own words are the reason."""
    code = keeper.poll()
    if code is None:
        keeper.terminate()
        keeper.wait()
    sys.stderr.write((door / LOG).read_text(encoding="utf-8", errors="replace"))
    shutil.rmtree(door, ignore_errors=True)
    return code or int(ExitCode.ERROR)


def _close(door: Path, status: str) -> int:
    """Tell the keeper how the playbook ended; print the Run that it recorded."""
    if not (door / READY).is_file():
        raise UsageError(f"{door} is no open job", hint="The playbook opens one itself.")
    keeper = json.loads((door / READY).read_bytes())["pid"]
    write_atomically(door / DONE, json.dumps({"status": status}))
    result = _wait(door / RESULT, _CLOSE_SECONDS, lambda: not _alive(keeper))
    if result is None:
        raise CannotRun("the keeper of the job does not answer", hint=f"See {door / LOG}.")
    shutil.rmtree(door, ignore_errors=True)
    sys.stdout.write(json.dumps(result) + "\n")
    if result["verdict"] != "pass":
        sys.stderr.write(f"{result['verdict']}: {result['reason']}\n")
    return int(_EXITS.get(result["verdict"], ExitCode.ERROR))


def _hold(given: argparse.Namespace) -> int:
    """Be the keeper: prepare the job, wait for the playbook, judge and record."""
    from playbooks.cli import _room
    from playbooks.run import opened_with, signed_by

    door = Path(given.door)
    room = replace(_room(given.target), player=lambda *what: _player(door, given.watch, *what))
    room = signed_by(room, given.operator, given.approver)
    room = opened_with(room, Path(given.identity) if given.identity else None)
    run = _WORKS[given.what](room, given)
    if (door / DONE).is_file():
        write_atomically(door / RESULT, json.dumps(run.dump()))
    else:  # nobody will ask
        shutil.rmtree(door, ignore_errors=True)
    return 0


def _player(door: Path, watched: int, job: Job, _book: str, _role: str, go: Progress) -> Ending:
    """Wait for the playbook in place of running it."""
    from playbooks.leftovers import end_processes
    from playbooks.runner import Ending, Event

    ready = {
        "pid": os.getpid(),
        "id": job.id,
        "job": str(job.folder / "job.json"),
        "scratch": str(job.scratch),
    }
    write_atomically(door / READY, json.dumps({**ready, "audit": bool(job.settings.audits.suites)}))
    ending, told = Ending("timeout"), 0
    deadline = time.monotonic() + job.settings.timeout
    while time.monotonic() < deadline:
        for stage in job.stages()[told:]:
            told += 1
            now = utc_now().strftime("%Y-%m-%dT%H:%M:%SZ")
            ending.log.append(f"{now} {stage.outcome:7} {stage.name} {stage.seconds:.2f} s")
            go(Event("ok" if stage.outcome == "ok" else "failed", stage.name, stage.seconds))
        if (door / DONE).is_file():
            ending.status = json.loads((door / DONE).read_bytes())["status"]
            break
        if watched and not _alive(watched):
            ending.status = "killed"
            break
        time.sleep(_POLL)
    end_processes(job)
    return ending


def _wait(path: Path, seconds: float, over: Callable[[], bool]) -> dict[str, Any] | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended = over()
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_bytes())
            return found
        if ended:
            return None
        time.sleep(_POLL)
    return None


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _ansible() -> int:
    """The ansible-playbook on this host that called us, or 0: over a network there is none."""
    with contextlib.suppress(psutil.Error):
        for each in reversed(psutil.Process(os.getpid()).parents()):
            if any(Path(word).name == "ansible-playbook" for word in each.cmdline()[:2]):
                return int(each.pid)
    return 0


def _back_up(room: Room, _given: argparse.Namespace) -> Run:
    from playbooks.run import back_up

    return back_up(room)


def _drill(room: Room, given: argparse.Namespace) -> Run:
    from playbooks.run import drill

    return drill(_placed(room, given), given.backup)


def _pitr(room: Room, given: argparse.Namespace) -> Run:
    from playbooks.run import drill_forward, drill_to

    if given.to in ("", "newest"):
        return drill_forward(_placed(room, given), given.backup)
    try:
        moment = parse_time(given.to)
    except ValueError:
        raise UsageError(f"{given.to!r} is no moment", hint="2026-03-01T12:00:00Z") from None
    return drill_to(_placed(room, given), moment, given.backup)


def _failover(room: Room, given: argparse.Namespace) -> Run:
    from playbooks.run import rehearse_failover

    return rehearse_failover(_placed(room, given), given.backup)


def _verify(room: Room, given: argparse.Namespace) -> Run:
    from playbooks.chores import verify

    return verify(_placed(room, given), given.backup)


def _offsite(room: Room, given: argparse.Namespace) -> Run:
    from playbooks.chores import copy_offsite

    return copy_offsite(room, given.backup)


def _retention(room: Room, given: argparse.Namespace) -> Run:
    from playbooks.chores import apply_retention

    if not given.plan:
        raise UsageError(
            "no plan was named",
            hint="crmops backup prune shows the plan and its name; nothing goes without a look.",
        )
    return apply_retention(_placed(room, given), given.plan)


def _placed(room: Room, given: argparse.Namespace) -> Room:
    from playbooks.chores import at_offsite

    return at_offsite(room) if given.place == "offsite" else room


def _pull(room: Room, _given: argparse.Namespace) -> Run:
    from playbooks.saas.drill import pull

    return pull(room)


def _saas_drill(room: Room, given: argparse.Namespace) -> Run:
    from playbooks.saas.drill import drill
    from playbooks.saas_cli import other_target

    return drill(room, other_target(room, given.into), given.backup)


_WORKS: dict[str, Callable[[Room, argparse.Namespace], Run]] = {
    "backup": _back_up,
    "restore_drill": _drill,
    "pitr_drill": _pitr,
    "failover_rehearsal": _failover,
    "verify_backup": _verify,
    "offsite_copy": _offsite,
    "retention": _retention,
    "saas_backup": _pull,
    "saas_restore_drill": _saas_drill,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
