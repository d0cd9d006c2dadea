"""Is the fetched copy, byte for byte, what was backed up?"""

from __future__ import annotations

from playbooks.catalogue import read_manifest
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.postgres import control_data, tool_version
from playbooks.report import Report
from playbooks.stages.verify_files import read_label, verify_manifest
from playbooks.tree import differences, hash_tree


def run(job: Job, report: Report) -> None:
    """Raises CheckFailed at the first thing that differs: a damaged copy is not started."""
    manifest = read_manifest(job.backup)
    wrong = differences(manifest.files, hash_tree(job.data))
    if not report.check(
        "SHA-256 of every file", not wrong, wanted=f"{len(manifest.files)} files alike",
        found=f"{len(wrong)} differ", detail="; ".join(wrong[:5]),
    ):  # fmt: skip
        raise CheckFailed(f"the backup's files are damaged: {'; '.join(wrong[:5])}")
    verify_manifest(job, report)
    read_label(job.data)
    control = control_data(job, job.data)
    found = control["Database system identifier"]
    if not report.check(
        "system identifier", found == manifest.system_identifier,
        wanted=manifest.system_identifier, found=found,
    ):  # fmt: skip
        raise CheckFailed("the backup is of another system than its manifest says")
    major, version = tool_version(job)
    if not report.check(
        "PostgreSQL's version", major == manifest.major, wanted=manifest.major, found=version
    ):
        raise CheckFailed(f"PostgreSQL {manifest.major} is needed to restore, this is {version}")
    report.fact(files=len(manifest.files), tools=version, system_identifier=found)
