"""Attachments and configuration files: kept by restic beside each backup, brought back by a drill.

restic encrypts, and compares what it restores with what it stored.  That this is also what lay on
the disk is shown by a SHA-256 of our own of every file that did not change while it was copied.
Paths go into the manifest as SHA-256 too: a name of a file may be the name of a person.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from crmops.binaries import libraries_for, need_binary
from crmops.errors import CannotRun
from playbooks.catalogue import Attachments, Manifest
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.postgres import Done, run_program
from playbooks.report import Report
from playbooks.tree import files_of, hash_file, need_space

_State = dict[Path, tuple[int, int, int]]


def keep_files(job: Job) -> Attachments | None:
    """Back up the files of a job; None when there are none to be backed up.

    Raises CannotRun when restic fails, a path is missing or the password is not to be had.
    """
    if not job.files:
        return None
    for each in job.files:
        if not each.exists():
            raise CannotRun(
                f"{each} is to be backed up, but is not there", hint="Correct backup.files.paths."
            )
    _check_password(job)
    if _restic(job, "cat", "config").code != 0:
        _need(job, "init")
    before = _states(job.files)
    done = _need(
        job, "backup", "--json", "--tag", job.id, "--host", job.target, *map(str, job.files)
    )
    summary = json.loads(done.out.splitlines()[-1])
    after = _states(job.files)
    same = [path for path, state in after.items() if before.get(path) == state]
    return Attachments(
        snapshot=summary["snapshot_id"],
        count=summary["total_files_processed"],
        bytes=summary["total_bytes_processed"],
        files={_name(path): hash_file(path) for path in same},
    )


def check_files(job: Job, report: Report) -> None:
    """Let restic look at its repository."""
    done = _restic(job, "check")
    report.check(
        "restic check", done.code == 0, wanted="no error", found=f"code {done.code}",
        detail=done.last_line if done.code else "",
    )  # fmt: skip


def bring_files(job: Job, manifest: Manifest, report: Report) -> None:
    """Restore the files of a backup into scratch.  Raises CheckFailed when they differ."""
    kept = manifest.attachments
    if kept is None:
        return
    _check_password(job)
    need_space(job.scratch, kept.bytes, "restoring the attachments")
    target = job.scratch / "files"
    done = _restic(job, "restore", kept.snapshot, "--target", str(target), "--verify")
    if done.code != 0:
        raise CheckFailed(f"the attachments cannot be restored: {done.last_line}")
    found = {_name(Path("/") / each): hash_file(target / each) for each in files_of(target)}
    lost = sum(name not in found for name in kept.files)
    changed = sum(name in found and found[name] != each for name, each in kept.files.items())
    wrong = ", ".join(f"{n} {what}" for n, what in ((lost, "missing"), (changed, "changed")) if n)
    if not report.check(
        "attachments", not wrong, wanted=f"{len(kept.files)} files alike",
        found=f"{len(kept.files) - lost - changed} alike", detail=wrong,
    ):  # fmt: skip
        raise CheckFailed(f"the attachments are damaged: {wrong}")
    shutil.rmtree(target)
    report.fact(attachments=len(found))


def _states(paths: tuple[Path, ...]) -> _State:
    """Size and times of every regular file."""
    found: _State = {}
    for path in _each(paths):
        try:
            state = path.lstat()
        except FileNotFoundError:
            continue
        found[path] = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return found


def _each(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        else:
            yield from (path / each for each in files_of(path))


def _name(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def _check_password(job: Job) -> None:
    path, hint = job.files_password, "Set backup.files.password_file to a file of mode 0600."
    if path is None:
        raise CannotRun("restic's password is not known", hint=hint)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise CannotRun(f"restic's password {path}: {error.strerror}", hint=hint) from None
    if mode & 0o077:
        raise CannotRun(f"{path} may be read by others (mode {mode:04o})", hint=f"chmod 600 {path}")


def _need(job: Job, *arguments: str) -> Done:
    done = _restic(job, *arguments)
    if done.code != 0:
        raise CannotRun(
            f"restic's {arguments[0]} failed: {done.last_line}",
            hint="Look at backup.files of the target.",
        )
    return done


def _restic(job: Job, *arguments: str) -> Done:
    program = need_binary("restic")
    environment = {
        "RESTIC_REPOSITORY": str(job.files_repository),
        "RESTIC_PASSWORD_FILE": str(job.files_password),
        "TMPDIR": str(job.scratch),
        **libraries_for(program),
    }
    return run_program(
        job, program, "--no-cache", *arguments, environment=environment, as_self=True,
        seconds=job.settings.timeout,
    )  # fmt: skip
