"""Let PostgreSQL look at the structure of every table and index of the copy."""

from __future__ import annotations

from playbooks.catalogue import read_manifest
from playbooks.instance import require_alive
from playbooks.job import Job
from playbooks.postgres import run_tool
from playbooks.report import Report

_MISSING = ("extension control file", "is not available", "could not open extension")


def run(job: Job, report: Report) -> None:
    """Where the extension is not installed the stage says so and checks nothing."""
    manifest = read_manifest(job.backup)
    if not job.settings.amcheck or not (job.binaries / "pg_amcheck").is_file():
        report.fact(skipped="switched off" if not job.settings.amcheck else "no pg_amcheck")
        return
    done = run_tool(
        job, "pg_amcheck", "-h", job.sockets, "-U", manifest.superuser, "-d", manifest.database,
        "-j", "2", "--install-missing", seconds=job.settings.timeout,
    )  # fmt: skip
    require_alive(job)
    if done.code and any(each in done.err for each in _MISSING):
        report.fact(skipped="the extension amcheck is not installed")
        return
    complaints = [each for each in done.out.splitlines() if each.strip()]
    report.check(
        "amcheck", done.code == 0, wanted="no complaint", found=f"{len(complaints)} lines",
        detail=(complaints[0] if complaints else done.last_line) if done.code else "",
    )  # fmt: skip
