"""MariaDB's own programs: mariadb-backup, and binary logs for the point in time.

mariadb-backup copies the files while the server runs; they are prepared when they are restored.
It runs on the database's host, as a user that reads the data directory.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.catalogue import Manifest
from playbooks.engines import MARIADB
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.mariadb.server import run_tool
from playbooks.mariadb.system import binlog_place, system_of
from playbooks.providers.base import (
    Stored,
    in_catalogue,
    need_archive,
    need_reachable,
    need_unaltered,
)
from playbooks.report import Report
from playbooks.tree import bring_tree, files_of, hash_tree, move_tree, size_of

_WHOLE = "backup_type = full-backuped"
_STATES = ("mariadb_backup_checkpoints", "xtrabackup_checkpoints")
"""What mariadb-backup calls the file that says so; the second up to MariaDB 10.11."""


class MariadbProvider:
    """The files of a backup lie in the catalogue, as they were copied."""

    name = "mariadb"
    summary = "mariadb-backup and the source's binary log"
    engine = MARIADB
    keeps_log = False
    programs = ("mariadbd", "mariadb", "mariadb_backup", "mariadb_binlog")

    def check(self, job: Job) -> None:
        """The programs, which the servers' user must reach, and the archived binary log."""
        need_reachable(self.programs)
        need_archive(job)
        if job.incremental:
            raise CannotRun(
                "the provider mariadb takes full backups only", hint="Leave out --incremental."
            )

    def backup(self, job: Job, report: Report) -> Stored:
        """Copy into ``job.data``; nothing of it stays when mariadb-backup fails."""
        if job.data.exists():
            shutil.rmtree(job.data)
        job.data.mkdir(mode=0o700)
        osuser.give(job.data, osuser.substitute())
        done = run_tool(
            job, "mariadb_backup", f"--defaults-file={job.services}", "--backup",
            f"--target-dir={job.data}",
        )  # fmt: skip
        if done.code != 0 or "completed OK!" not in done.err:
            shutil.rmtree(job.data, ignore_errors=True)
            raise CannotRun(
                f"the database was not copied: {done.last_line}",
                hint="The account needs RELOAD, PROCESS, LOCK TABLES and BINLOG MONITOR.",
            )
        size = size_of(job.data)
        report.fact(bytes=size, files=sum(1 for _ in files_of(job.data)))
        return Stored(job.id, system_of(job.data), size)

    def inspect(self, job: Job, report: Report) -> None:
        """What mariadb-backup says of itself, and a SHA-256 of every file."""
        found = [job.data / each for each in _STATES if (job.data / each).is_file()]
        state = found[0].read_text(encoding="utf-8") if found else ""
        report.check("whole", _WHOLE in state, wanted=_WHOLE, found=state.partition("\n")[0])
        hashes = hash_tree(job.data)
        report.check("files", bool(hashes), wanted="at least one", found=len(hashes))
        place = binlog_place(job.data)
        report.fact(
            hashes=hashes,
            start_lsn=place,
            end_lsn=place,
            timeline=0,
            segment_bytes=0,
            system_identifier=system_of(job.data),
        )

    def keep(self, job: Job, folder: Path) -> None:
        """The copy becomes ``data`` in the folder."""
        move_tree(job.data, folder / "data")

    def stored(self, job: Job) -> tuple[Stored, ...]:
        """What the catalogue has sealed."""
        return in_catalogue(job, self.name)

    def restore(self, job: Job, manifest: Manifest) -> int:
        """Copy the files out of the catalogue."""
        copied = bring_tree(job.backup / "data", job.data)
        osuser.give_tree(job.data, osuser.substitute())
        return copied

    def verify(self, job: Job, manifest: Manifest, report: Report) -> None:
        """Every file, and the identifier of the server that they are of."""
        need_unaltered(manifest, hash_tree(job.data), report)
        found = system_of(job.data)
        if not report.check(
            "system identifier", found == manifest.system_identifier,
            wanted=manifest.system_identifier, found=found,
        ):  # fmt: skip
            raise CheckFailed("the backup is of another system than its manifest says")

    def segment(self, job: Job, name: str, folder: Path) -> Path | None:
        """The binary log where it lies in the archive, which is only read."""
        found = need_archive(job) / name
        return found if found.is_file() else None


PROVIDER = MariadbProvider()
