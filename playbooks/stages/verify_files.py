"""Are the files those that were copied?  PostgreSQL's manifest, and a SHA-256 of our own."""

from __future__ import annotations

import json
from pathlib import Path

from crmops.errors import CannotRun
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.postgres import control_data, run_tool
from playbooks.report import Report
from playbooks.tree import hash_tree


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed when pg_verifybackup finds a damaged file."""
    verify_manifest(job, report)
    hashes = hash_tree(job.data)
    report.check("files", bool(hashes), wanted="at least one", found=len(hashes))
    label = read_label(job.data)
    control = control_data(job, job.data)
    report.fact(
        hashes=hashes,
        start_lsn=label["START WAL LOCATION"].split()[0],
        start_segment=label["START WAL LOCATION"].rstrip(")").split()[-1],
        timeline=int(label["START TIMELINE"]),
        system_identifier=control["Database system identifier"],
        segment_bytes=int(control["Bytes per WAL segment"]),
        end_lsn=end_of_backup(job.data),
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
