"""One write in a thousand is acknowledged and lost: the run fails and names exactly those."""

from __future__ import annotations

import json
import re

import psycopg

from crmops.history import History
from crmops.record import Run, Verdict
from loadtests.journal import read_journals
from loadtests.workload import Workload
from tests.conftest import RefcrmServer, TargetFactory

from .conftest import SETTINGS, Loaded

LISTS = Workload.model_validate(
    {
        "name": "lists",
        "summary": "two people import one list after the other",
        "users": 2,
        "pace": 0.005,
        "phases": [{"name": "storm", "seconds": 6}],
        "roles": {"rep": {"share": 1.0, "batch": 500, "journeys": {"import_list": 1}}},
    }
)


def stored(server: RefcrmServer, run: Run) -> set[str]:
    with psycopg.connect(server.database_url) as connection:
        found = connection.execute("select id from leads where source_tag = %s", (run.id,))
        return {str(row[0]) for row in found}


def remove(server: RefcrmServer, run: Run) -> None:
    with psycopg.connect(server.database_url) as connection:
        connection.execute("delete from leads where source_tag = %s", (run.id,))


def test_one_write_lost_in_a_thousand_is_found_and_named(
    load: Loaded, history: History, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    settings = SETTINGS.model_copy(update={"cleanup": False})
    with refcrm_server.faults(lost_write_ratio=0.001):
        run = load(target_factory(), LISTS, settings)
    try:
        there = stored(refcrm_server, run)
    finally:
        remove(refcrm_server, run)
    folder = history.artifacts(run.id)
    acknowledged = {each for _, each in read_journals(folder).made}
    assert len(acknowledged) > 5_000  # no loss among so many: once in 150 times
    truth = acknowledged - there
    told = json.loads((folder / "writes.json").read_text())
    assert {each["id"] for each in told["lost_creates"]} == truth
    assert run.verdict is Verdict.FAIL
    assert f"{len(truth)} acknowledged writes are lost" in run.reason
    finding = next(one for one in run.findings if "creates are not in the CRM" in one.title)
    named = set(re.findall(r"lead (\d+)", finding.detail))
    assert len(named) == min(len(truth), 20)
    assert named <= truth
