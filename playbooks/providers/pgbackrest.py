"""pgBackRest: its own repository in a directory, and the log that archive-push brings there.

It must run on the database's host and read the data directory.  crmops writes a configuration of
its own into the scratch directory; the source's archive_command uses one with the same repository
and stanza.  What pgBackRest keeps, pgBackRest expires.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crmops.binaries import libraries_for, need_binary
from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.catalogue import Manifest
from playbooks.engines import POSTGRESQL
from playbooks.errors import CheckFailed
from playbooks.job import Job, write_atomically
from playbooks.postgres import Done, run_program
from playbooks.providers.base import (
    Stored,
    hash_folders,
    need_reachable,
    need_repository,
    need_unaltered,
)
from playbooks.report import Report
from playbooks.source import password_file, service_parameters
from playbooks.tree import size_of

_NOT_FOUND = 1
"""Exit code of archive-get when the archive has no such segment."""


class PgBackRestProvider:
    """The catalogue has only the manifest of a backup; its files are pgBackRest's."""

    name = "pgbackrest"
    summary = "pgBackRest with a repository in a directory"
    engine = POSTGRESQL
    keeps_log = True
    programs = ("pgbackrest",)

    def check(self, job: Job) -> None:
        """The program, the repository, and a source on this machine."""
        need_reachable(self.programs)
        need_repository(job, make=True)
        if not job.source_data:
            raise CannotRun(
                "it is not known where the source's data directory is",
                hint="Set database.data_directory of the target: pgBackRest reads it.",
            )
        host = service_parameters(job).get("host", "")
        if host and not host.startswith("/"):
            raise CannotRun(
                "pgBackRest reaches the source over its socket only",
                hint="Run crmops on the database's host, with host=/path/of/the/socket.",
            )

    def backup(self, job: Job, report: Report) -> Stored:
        """A full backup, or an incremental one upon the newest."""
        known = {each.label for each in self.stored(job)}
        kind = "incr" if job.incremental and known else "full"
        self._need(job, "stanza-create")
        self._need(job, "backup", f"--type={kind}")
        made = [each for each in self.stored(job) if each.label not in known]
        if not made:
            raise CannotRun("pgBackRest made a backup, but does not list it")
        stored = made[-1]
        report.fact(bytes=stored.bytes, files=self._found(job, stored.label)["files"], kind=kind)
        return stored

    def inspect(self, job: Job, report: Report) -> None:
        """pgBackRest verifies its repository; SHA-256 of our own of every file in it."""
        label = str(job.facts("base_backup")["label"])
        done = self._run(job, "verify")
        complaint = _complaint(done)
        report.check(
            "pgbackrest verify", done.code == 0 and not complaint, wanted="no complaint",
            found=f"code {done.code}", detail=complaint,
        )  # fmt: skip
        found = self._found(job, label)
        hashes = hash_folders(self._folder(job), (label, *found["parents"]))
        report.check("files", bool(hashes), wanted="at least one", found=len(hashes))
        segment = self.segment(job, found["first"], job.scratch)
        report.fact(
            hashes=hashes,
            start_lsn=found["start"],
            end_lsn=found["stop"],
            timeline=int(found["first"][:8], 16),
            system_identifier=found["system"],
            segment_bytes=segment.stat().st_size if segment else 0,
        )

    def keep(self, job: Job, folder: Path) -> None:
        """Nothing: the repository has it."""

    def stored(self, job: Job) -> tuple[Stored, ...]:
        """What ``pgbackrest info`` knows, oldest first."""
        stanza = self._info(job)
        return tuple(
            Stored(each["label"], _system(stanza, each), int(each["info"]["size"]),
                   tuple(each["reference"] or ()))
            for each in stanza.get("backup", ())
        )  # fmt: skip

    def restore(self, job: Job, manifest: Manifest) -> int:
        """Raises CheckFailed when a file of the repository is damaged: nothing is restored then.

        pgBackRest would notice as well, but only after many tries (measured: 20 s).
        """
        self._same_system(job, manifest)
        self._unaltered(job, manifest)
        job.data.mkdir(mode=0o700, exist_ok=True)
        osuser.give(job.data, osuser.substitute())
        self._need(job, "restore", f"--set={manifest.label}", "--type=none")
        return size_of(job.data)

    def verify(self, job: Job, manifest: Manifest, report: Report) -> None:
        """Every file of the backup and of those it rests upon."""
        self._same_system(job, manifest)
        self._unaltered(job, manifest, report)

    def segment(self, job: Job, name: str, folder: Path) -> Path | None:
        """Let archive-get bring the segment to ``folder``."""
        done = self._run(job, "archive-get", name, str(folder / name))
        if done.code == _NOT_FOUND:
            return None
        if done.code != 0:
            raise CheckFailed(f"{name} cannot be had from the archive: {_complaint(done)}")
        return folder / name

    def _unaltered(self, job: Job, manifest: Manifest, report: Report | None = None) -> None:
        labels = (manifest.label, *manifest.parents)
        need_unaltered(manifest, hash_folders(self._folder(job), labels), report)

    def _same_system(self, job: Job, manifest: Manifest) -> None:
        if self._found(job, manifest.label)["system"] != manifest.system_identifier:
            raise CheckFailed("the backup is of another system than its manifest says")

    def _folder(self, job: Job) -> Path:
        return need_repository(job) / "backup" / job.stanza

    def _found(self, job: Job, label: str) -> dict[str, Any]:
        """What pgBackRest says of one backup."""
        stanza = self._info(job)
        for each in stanza.get("backup", ()):
            if each["label"] == label:
                return {
                    "system": _system(stanza, each),
                    "parents": tuple(each["reference"] or ()),
                    "start": each["lsn"]["start"],
                    "stop": each["lsn"]["stop"],
                    "first": each["archive"]["start"],
                    "files": sum(1 for path in (self._folder(job) / label).rglob("*")
                                 if path.is_file()),
                }  # fmt: skip
        raise CheckFailed(f"pgBackRest has no backup {label} any more")

    def _info(self, job: Job) -> dict[str, Any]:
        done = self._need(job, "info", "--output=json")
        try:
            found = [each for each in json.loads(done.out) if each["name"] == job.stanza]
        except (ValueError, KeyError, TypeError):
            raise CannotRun("pgbackrest info is not understood") from None
        return dict(found[0]) if found else {}

    def _need(self, job: Job, *arguments: str) -> Done:
        done = self._run(job, *arguments)
        if done.code != 0:
            raise CannotRun(
                f"pgBackRest's {arguments[0]} failed: {_complaint(done)}",
                hint="Look at archive_command of the source, and at the repository's stanza.",
            )
        return done

    def _run(self, job: Job, *arguments: str) -> Done:
        config = job.scratch / "pgbackrest.conf"
        if not config.exists():
            write_atomically(config, _settings(job))
            osuser.give(config, osuser.substitute())
        restored = (job.data / "global" / "pg_control").is_file() or arguments[0] == "restore"
        data = job.data if restored else Path(job.source_data)
        place = [f"--pg1-path={data}"] if arguments[0] in ("restore", "archive-get") else []
        program = need_binary("pgbackrest")
        return run_program(
            job, program, f"--config={config}", f"--stanza={job.stanza}", *place, *arguments,
            environment={**libraries_for(program), **password_file(job)},
            seconds=job.settings.timeout,
        )  # fmt: skip


def _settings(job: Job) -> str:
    """pgBackRest's configuration; there is no secret in it."""
    lines = {
        "repo1-path": need_repository(job),
        "repo1-retention-full": 9999999,  # never expire what a drill may want
        "lock-path": need_repository(job) / "lock",
        "log-level-file": "off",
        "log-level-console": "off",
        "log-level-stderr": "warn",
        "start-fast": "y",
        "repo1-bundle": "y",  # small files in one: a sync for each takes most of the time
        "process-max": 2,
        "archive-timeout": max(int(job.settings.archive_wait), 1),
    }
    source = service_parameters(job)
    places = {"pg1-path": job.source_data or job.data, "pg1-socket-path": source.get("host"),
              "pg1-port": source.get("port"), "pg1-user": source.get("user"),
              "pg1-database": source.get("dbname")}  # fmt: skip
    text = ["[global]", *(f"{key}={value}" for key, value in lines.items()), f"[{job.stanza}]"]
    return "\n".join([*text, *(f"{key}={value}" for key, value in places.items() if value)]) + "\n"


def _system(stanza: dict[str, Any], backup: dict[str, Any]) -> str:
    wanted = backup["database"]["id"]
    return next((str(each["system-id"]) for each in stanza["db"] if each["id"] == wanted), "")


def _complaint(done: Done) -> str:
    """What went wrong in pgBackRest's words, without its code."""
    lines: Sequence[str] = [*done.err.splitlines(), *done.out.splitlines()]
    return next((each.partition("ERROR: ")[2] for each in lines if "ERROR: " in each), "")


PROVIDER = PgBackRestProvider()
