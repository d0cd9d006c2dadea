"""Barman with ``backup_method = postgres`` and its archiver, in a home directory of its own.

crmops writes a configuration into the scratch directory; it names the source by a service of
libpq, so that no secret stands in it.  The source's archive_command copies into
``<repository>/<server>/incoming``.  What Barman keeps, Barman expires.
"""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

from crmops.binaries import libraries_for, modules_for, need_binary
from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.catalogue import Manifest
from playbooks.engines import POSTGRESQL
from playbooks.errors import CheckFailed
from playbooks.job import Job, write_atomically
from playbooks.postgres import Done, control_data, run_program
from playbooks.providers.base import (
    Stored,
    hash_folders,
    need_reachable,
    need_repository,
    need_unaltered,
)
from playbooks.providers.postgresql import end_of_backup, need_programs, read_label
from playbooks.report import Report
from playbooks.source import SERVICE
from playbooks.tree import size_of

_NEEDED = ("pg_basebackup", "pg_verifybackup", "pg_controldata", "pg_receivewal")
_SEGMENT_BYTES = {1 << power for power in range(20, 31)}
"""What a segment may have; a compressed one has less."""


class BarmanProvider:
    """The catalogue has only the manifest of a backup; its files are Barman's."""

    name = "barman"
    summary = "Barman with a home directory on this machine"
    engine = POSTGRESQL
    keeps_log = True
    programs = ("barman", "rsync")

    def check(self, job: Job) -> None:
        """The programs and the home directory."""
        need_reachable(self.programs)
        need_programs(job, _NEEDED)
        need_repository(job, make=True)
        if job.incremental:
            raise CannotRun(
                "the provider barman takes full backups only", hint="Leave out --incremental."
            )

    def backup(self, job: Job, report: Report) -> Stored:
        """Barman waits until the log is archived that makes the copy consistent."""
        known = set(self._labels(job))
        patience = str(max(int(job.settings.archive_wait), 1))
        if not known:  # Barman begins only when it has seen that the log arrives
            self._run(job, "switch-wal", "--force", "--archive", "--archive-timeout", patience,
                      job.stanza)  # fmt: skip
        self._need(job, "backup", job.stanza, "--wait", "--wait-timeout", patience)
        made = [each for each in self._labels(job) if each not in known]
        if not made:
            raise CannotRun("Barman made a backup, but does not list it")
        stored = self._stored(job, made[-1])
        report.fact(bytes=stored.bytes, files=len(list(self._data(job, made[-1]).rglob("*"))))
        return stored

    def inspect(self, job: Job, report: Report) -> None:
        """Barman lets pg_verifybackup look at it; SHA-256 of our own of every file."""
        label = str(job.facts("base_backup")["label"])
        done = self._run(job, "verify-backup", job.stanza, label)
        report.check(
            "barman verify-backup", done.code == 0, wanted="no difference",
            found=f"code {done.code}", detail=_complaint(done) if done.code else "",
        )  # fmt: skip
        data = self._data(job, label)
        hashes = self._hashes(job, label)
        report.check("files", bool(hashes), wanted="at least one", found=len(hashes))
        begin, control = read_label(data), control_data(job, data)
        report.fact(
            hashes=hashes,
            start_lsn=begin["START WAL LOCATION"].split()[0],
            timeline=int(begin["START TIMELINE"]),
            system_identifier=control["Database system identifier"],
            segment_bytes=int(control["Bytes per WAL segment"]),
            end_lsn=end_of_backup(data),
        )

    def keep(self, job: Job, folder: Path) -> None:
        """Nothing: Barman's home has it."""

    def stored(self, job: Job) -> tuple[Stored, ...]:
        """What ``barman list-backup`` knows to be done, oldest first."""
        return tuple(self._stored(job, each) for each in self._labels(job))

    def restore(self, job: Job, manifest: Manifest) -> int:
        """Raises CheckFailed when a file in Barman's home is damaged: nothing is restored then."""
        self._same_system(job, manifest)
        need_unaltered(manifest, self._hashes(job, manifest.label))
        self._need(job, "recover", "--get-wal", job.stanza, manifest.label, str(job.data))
        return size_of(job.data)

    def verify(self, job: Job, manifest: Manifest, report: Report) -> None:
        """Every file of the backup where Barman keeps it."""
        self._same_system(job, manifest)
        need_unaltered(manifest, self._hashes(job, manifest.label), report)

    def segment(self, job: Job, name: str, folder: Path) -> Path | None:
        """The segment in Barman's home, or unpacked into ``folder`` when it lies compressed."""
        plain = need_repository(job) / job.stanza / "wals" / name[:16] / name
        for attempt in (True, False):
            if plain.is_file() and plain.stat().st_size in _SEGMENT_BYTES:
                return plain
            done = self._run(job, "get-wal", job.stanza, name, "--output-directory", str(folder))
            if done.code == 0:
                return folder / name
            if attempt:  # what has arrived is archived by Barman's cron, or by this
                self._run(job, "archive-wal", job.stanza)
        return None

    def _labels(self, job: Job) -> list[str]:
        done = self._need(job, "-f", "json", "list-backup", job.stanza)
        try:
            listed: list[dict[str, Any]] = json.loads(done.out)[job.stanza]
            return sorted(str(each["backup_id"]) for each in listed if each["status"] == "DONE")
        except (ValueError, KeyError, TypeError):
            raise CannotRun("barman list-backup is not understood") from None

    def _stored(self, job: Job, label: str) -> Stored:
        data = self._data(job, label)
        system = control_data(job, data)["Database system identifier"]
        return Stored(label, system, size_of(data))

    def _same_system(self, job: Job, manifest: Manifest) -> None:
        if self._stored(job, manifest.label).system != manifest.system_identifier:
            raise CheckFailed("the backup is of another system than its manifest says")

    def _hashes(self, job: Job, label: str) -> dict[str, str]:
        return hash_folders(self._data(job, label).parent, ("data",))

    def _data(self, job: Job, label: str) -> Path:
        found = need_repository(job) / job.stanza / "base" / label / "data"
        if not found.is_dir():
            raise CheckFailed(f"Barman has no backup {label} any more")
        return found

    def _need(self, job: Job, *arguments: str) -> Done:
        done = self._run(job, *arguments)
        if done.code != 0:
            command = next(each for each in arguments if "-" not in each[:1] and each != "json")
            raise CannotRun(
                f"Barman's {command} failed: {_complaint(done)}",
                hint="Look at archive_command of the source: it copies into "
                f"{need_repository(job) / job.stanza / 'incoming'}.",
            )
        return done

    def _run(self, job: Job, *arguments: str) -> Done:
        config, program = job.scratch / "barman.conf", need_binary("barman")
        if not config.exists():
            write_atomically(config, _settings(job))
            osuser.give(config, osuser.substitute())
        environment = {"PATH": f"{need_binary('rsync').parent}:/usr/bin:/bin"}
        command: tuple[Path, ...] = (program,)
        if modules := modules_for(program):
            # Unpacked, its modules are where only the system's own Python would look for them.
            command = (Path("/usr/bin/python3"), program)
            environment |= {"PYTHONPATH": str(modules), **libraries_for(program)}
        return run_program(
            job, *command, "-c", str(config), *arguments, environment=environment,
            seconds=job.settings.timeout,
        )  # fmt: skip


def _settings(job: Job) -> str:
    """Barman's configuration; there is no secret in it."""
    user, home = osuser.substitute(), need_repository(job)
    return f"""[barman]
barman_user = {user.name if user is not None else pwd.getpwuid(os.geteuid()).pw_name}
barman_home = {home}
barman_lock_directory = {home}
log_file = {job.scratch / "barman.log"}
log_level = WARNING
configuration_files_directory = {job.scratch / "none"}

[{job.stanza}]
description = {job.target}
conninfo = service={SERVICE}
backup_method = postgres
archiver = on
immediate_checkpoint = true
path_prefix = {job.binaries}
"""


def _complaint(done: Done) -> str:
    """What went wrong in Barman's words."""
    lines = [*done.err.splitlines(), *done.out.splitlines()]
    found = [each for each in lines if "ERROR: " in each]
    return found[0].partition("ERROR: ")[2] if found else done.last_line


PROVIDER = BarmanProvider()
