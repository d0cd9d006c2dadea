"""Name an instant of the source and write down what the database contained then.

MariaDB gives a consistent snapshot together with its place in the binary log, so the instant is
exact without stopping anybody.
"""

from __future__ import annotations

import time
from datetime import UTC

from playbooks.job import Job
from playbooks.mariadb.digest import read_contents
from playbooks.mariadb.link import rows, source_link
from playbooks.report import Report


def run(job: Job, report: Report) -> None:
    """The place that the snapshot was taken at is where a drill recovers to."""
    with source_link(job) as link:
        rows(link, "set session transaction isolation level repeatable read")
        rows(link, "start transaction with consistent snapshot")
        status = dict(rows(link, "show status like 'binlog_snapshot_%'"))
        moment = rows(link, "select utc_timestamp(6)")[0][0].replace(tzinfo=UTC)
        began = time.monotonic()
        contents = read_contents(link)
        rows(link, "rollback")
    place = f"{status['Binlog_snapshot_file']}:{status['Binlog_snapshot_position']}"
    timed = contents.model_copy(update={"seconds": round(time.monotonic() - began, 3)})
    report.fact(
        point=f"crmops_{job.id}",
        lsn=place,
        time=moment.isoformat(),
        canary=moment.isoformat(),
        how="consistent snapshot",
        tries=1,
        contents=timed.model_dump(mode="json"),
    )
