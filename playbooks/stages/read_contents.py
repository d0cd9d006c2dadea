"""Name an instant of the source and write down what the database contained then."""

from __future__ import annotations

import time

from playbooks.digest import read_contents, read_sequences
from playbooks.instant import find_instant
from playbooks.job import Job
from playbooks.report import Report
from playbooks.source import one_row, source_connection

_CANARY = b"select pg_logical_emit_message(true, 'crmops', %s)::text, clock_timestamp()"


def run(job: Job, report: Report) -> None:
    """The canary is a commit that leaves no row: it dates the newest work that a restore has."""
    with source_connection(job) as reader, source_connection(job) as other:
        sequences = read_sequences(reader)
        canary = one_row(other, _CANARY, (job.id,))
        instant = find_instant(
            reader,
            other,
            f"crmops_{job.id}",
            quiet_wait=job.settings.quiet_wait,
            brief_lock=job.settings.brief_lock,
        )
        report.fact(
            point=instant.name,
            lsn=instant.lsn,
            time=instant.time,
            how=instant.how,
            tries=instant.tries,
            canary=canary[1].isoformat(),
            contents=None,
        )
        if instant.snapshot is None:
            return
        began = time.monotonic()
        contents = read_contents(
            lambda: source_connection(job), reader, instant.snapshot, sequences
        )
        reader.execute(b"rollback")
    timed = contents.model_copy(update={"seconds": round(time.monotonic() - began, 3)})
    report.fact(contents=timed.model_dump(mode="json"))
