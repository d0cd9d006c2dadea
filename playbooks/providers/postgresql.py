"""PostgreSQL's own programs: pg_basebackup, and the log from where the source archives it.

The manifest uses CRC32C: the wheel's PostgreSQL has only a slow SHA-256 of its own (measured:
20 s instead of 4 s a GB).  The SHA-256 of every file is computed by Python, at 1.5 GB/s.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.catalogue import Manifest
from playbooks.engines import POSTGRESQL
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.postgres import control_data, run_tool, tool_version
from playbooks.providers._chain import choose_parent, combine, members, parent_option
from playbooks.providers.base import Stored, in_catalogue, need_archive, need_unaltered
from playbooks.report import Report
from playbooks.source import SERVICE
from playbooks.tree import bring_tree, files_of, hash_tree, move_tree, size_of

_OPTIONS = ("-F", "plain", "-X", "stream", "-c", "fast", "--manifest-checksums=CRC32C",
            "--no-password", "--no-estimate-size")  # fmt: skip


def _syncing(job: Job) -> tuple[str, ...]:
    """One call for the whole file system instead of one a file: measured, half the time of 0.4 GB.

    Since PostgreSQL 17.
    """
    major, _ = tool_version(job)
    return ("--sync-method=syncfs",) if major >= 17 else ()


class PostgresqlProvider:
    """The files of a backup lie in the catalogue, as they are."""

    name = "postgresql"
    summary = "pg_basebackup and the source's archive"
    engine = POSTGRESQL
    keeps_log = False
    programs = ("pg_basebackup", "pg_verifybackup", "pg_controldata")

    def check(self, job: Job) -> None:
        """The programs, and the archive that recovery will read."""
        need_programs(job, self.programs)
        need_archive(job)

    def backup(self, job: Job, report: Report) -> Stored:
        """Copy into ``job.data``; nothing of it stays when pg_basebackup fails."""
        if job.data.exists():
            shutil.rmtree(job.data)
        job.data.mkdir(mode=0o700)
        osuser.give(job.data, osuser.substitute())
        parent = choose_parent(job) if job.incremental else None
        more = (parent_option(job, parent),) if parent else ()
        done = run_tool(
            job, "pg_basebackup", "-d", f"service={SERVICE}", "-D", job.data,
            "-l", f"crmops {job.id}", *_OPTIONS, *_syncing(job), *more,
            seconds=job.settings.timeout,
        )  # fmt: skip
        if done.code != 0:
            shutil.rmtree(job.data, ignore_errors=True)
            raise CannotRun(
                f"the database was not copied: {done.last_line}",
                hint="The role needs REPLICATION, and pg_hba.conf a line for replication.",
            )
        size = size_of(job.data)
        kind = "incremental" if parent else "full"
        report.fact(bytes=size, files=sum(1 for _ in files_of(job.data)), kind=kind)
        parents = (parent.id, *parent.parents) if parent else ()
        system = control_data(job, job.data)["Database system identifier"]
        return Stored(job.id, system, size, parents)

    def inspect(self, job: Job, report: Report) -> None:
        """PostgreSQL's manifest of checksums, and a SHA-256 of our own."""
        verify_manifest(job, report)
        hashes = hash_tree(job.data)
        report.check("files", bool(hashes), wanted="at least one", found=len(hashes))
        label = read_label(job.data)
        control = control_data(job, job.data)
        report.fact(
            hashes=hashes,
            start_lsn=label["START WAL LOCATION"].split()[0],
            timeline=int(label["START TIMELINE"]),
            system_identifier=control["Database system identifier"],
            segment_bytes=int(control["Bytes per WAL segment"]),
            end_lsn=end_of_backup(job.data),
        )

    def keep(self, job: Job, folder: Path) -> None:
        """The copy becomes ``data`` in the folder."""
        move_tree(job.data, folder / "data")

    def stored(self, job: Job) -> tuple[Stored, ...]:
        """What the catalogue has sealed."""
        return in_catalogue(job, self.name)

    def restore(self, job: Job, manifest: Manifest) -> int:
        """Copy the files out of the catalogue, or put a chain of them together."""
        if manifest.parents:
            combine(job, members(job, manifest))
            return size_of(job.data)
        copied = bring_tree(job.backup / "data", job.data)
        osuser.give_tree(job.data, osuser.substitute())
        return copied

    def verify(self, job: Job, manifest: Manifest, report: Report) -> None:
        """Raises CheckFailed at the first thing that differs: a damaged copy is not started."""
        copied = job.backup / "data" if manifest.parents else job.data
        need_unaltered(manifest, hash_tree(copied), report)
        verify_manifest(job, report)
        read_label(job.data)

    def segment(self, job: Job, name: str, folder: Path) -> Path | None:
        """The segment where it lies in the source's archive, which is only read."""
        found = need_archive(job) / name
        return found if found.is_file() else None


def need_programs(job: Job, programs: tuple[str, ...]) -> None:
    """Raise CannotRun unless PostgreSQL's directory has all of ``programs``."""
    for each in programs:
        if not (job.binaries / each).is_file():
            raise CannotRun(
                f"{job.binaries} has no {each}",
                hint="Set database.binaries of the target to the bin directory of PostgreSQL.",
            )


def verify_manifest(job: Job, report: Report) -> None:
    """Let pg_verifybackup compare the files with PostgreSQL's manifest.

    Its write-ahead log is looked at elsewhere: the archive is what recovery reads.
    """
    done = run_tool(job, "pg_verifybackup", "-n", "-q", job.data, seconds=job.settings.timeout)
    line = done.last_line.replace(f"{job.data}/", "").replace("pg_verifybackup: error: ", "")
    if not report.check(
        "pg_verifybackup", done.code == 0, wanted="no difference",
        found=f"{len(done.err.splitlines())} lines", detail=line if done.code else "",
    ):  # fmt: skip
        raise CheckFailed(f"the backup's files are damaged: {line}")


def read_label(data: Path) -> dict[str, str]:
    """The fields of backup_label.  Raises CheckFailed when it is missing or cut."""
    try:
        lines = (data / "backup_label").read_text(encoding="utf-8").splitlines()
    except OSError:
        raise CheckFailed("backup_label is missing from the backup") from None
    found = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if not {"START WAL LOCATION", "START TIMELINE"} <= found.keys():
        raise CheckFailed("backup_label does not say where recovery begins")
    return found


def end_of_backup(data: Path) -> str:
    """The place in the log from which the copy is consistent, by PostgreSQL's manifest."""
    try:
        ranges = json.loads((data / "backup_manifest").read_bytes())["WAL-Ranges"]
        return str(ranges[-1]["End-LSN"])
    except (OSError, ValueError, KeyError, IndexError):
        raise CannotRun("backup_manifest does not say where the backup ends") from None


PROVIDER = PostgresqlProvider()
