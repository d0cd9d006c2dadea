"""Load a snapshot into a scratch PostgreSQL: proof that it can be read, to the last record."""

from __future__ import annotations

import time

from playbooks.job import Job
from playbooks.report import Report
from playbooks.saas.snapshot import read_snapshot
from playbooks.saas.tables import DATABASE, USER, create, fill, forget, provision
from playbooks.source import copy_connection
from playbooks.stages.saas_fetch import PLACE


def run(job: Job, report: Report) -> None:
    """A value that is not of the kind that the CRM describes is a failed check."""
    began = time.monotonic()
    snapshot, place = read_snapshot(job.backup), job.scratch / PLACE
    report.fact(pid=provision(job))
    loaded, wrong = 0, []
    with copy_connection(job, DATABASE, USER) as link:
        for name, part in snapshot.entities.items():
            create(link, name, part.fields)
            count, unfit = fill(link, name, part.fields, place / f"{name}.ndjson")
            loaded += count
            wrong += [f"{name}.{field}: {number}" for field, number in sorted(unfit.items())]
        link.execute(b"analyze")
    forget(place)
    report.check(
        "values are of their kind", not wrong, wanted="all", found=f"{len(wrong)} fields differ",
        detail="; ".join(wrong[:5]),
    )  # fmt: skip
    report.fact(loaded=loaded, seconds=round(time.monotonic() - began, 3))
