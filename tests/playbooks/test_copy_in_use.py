"""Journeys and audits on a restored copy: what counts as good, and what cannot be carried out."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmops.errors import CannotRun, ConfigError, UsageError
from crmops.secret import Secret
from playbooks.job import Job, Outcome
from playbooks.journeys import walk_journeys
from playbooks.people import choose_people, read_people, write_people
from playbooks.report import Report
from playbooks.settings import Audits, Settings, Smoke
from playbooks.step import run_stage
from tests.conftest import TargetFactory
from tests.playbooks.conftest import Taken, prepared

_WALKED = ("login", "create_lead", "manager_report")


@pytest.fixture
def job(taken: Taken) -> Iterator[Job]:
    with prepared(taken.room, taken.folder, amcheck=False) as made:
        yield made


def walking(job: Job, *journeys: str) -> Job:
    smoke = Smoke(serve=("crm",), journeys=journeys)
    return job.model_copy(update={"settings": Settings(smoke=smoke)})


def test_people_walk_the_journeys(
    job: Job, target_factory: TargetFactory, refcrm_server: Any
) -> None:
    asked = walking(job, *_WALKED)
    target = target_factory()
    asked.save()
    write_people(asked, target)
    kept = asked.folder / "people.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert refcrm_server.password not in (asked.folder / "job.json").read_text()
    report = Report("smoke")
    walk_journeys(asked, refcrm_server.url, report)
    assert [(each.name, each.passed) for each in report.checks] == [
        (f"journey {name}", True) for name in _WALKED
    ]
    assert report.facts == {"journeys": 3, "journeys_passed": 3}
    _, people = read_people(asked, refcrm_server.url)
    assert [each.role for each in people][1:] == ["rep", "manager"]


def test_a_journey_that_does_not_end_well_fails(
    job: Job, target_factory: TargetFactory, refcrm_server: Any
) -> None:
    asked = walking(job, "search")
    known = target_factory()
    wrong = known.accounts[0].model_copy(update={"password": Secret("wrong"), "role": "rep"})
    write_people(asked, known.model_copy(update={"accounts": (wrong,)}))
    report = Report("smoke")
    walk_journeys(asked, refcrm_server.url, report)
    assert report.facts["journeys_passed"] == 0
    assert report.first_failure() == "journey search: auth at login: invalid_credentials"


def test_nobody_to_walk(job: Job, target_factory: TargetFactory) -> None:
    with pytest.raises(UsageError, match="there is no journey 'searchh'"):
        choose_people(target_factory(), ("searchh",))
    nobody = target_factory(accounts=(), username="", password=None)
    with pytest.raises(ConfigError, match="has no login that could walk journey 'search'"):
        choose_people(nobody, ("search",))
    assert choose_people(nobody, ()) == []
    with pytest.raises(CannotRun, match="nobody can walk the journeys: FileNotFoundError"):
        read_people(walking(job, "login"), "http://127.0.0.1:9")


def test_audits_of_the_copy(job: Job) -> None:
    for name in ("fetch", "configure", "recover"):
        stage = run_stage(job, name)
        assert stage.outcome is Outcome.OK, stage.reason
        job.add(stage)

    def audited(**wanted: Any) -> tuple[Outcome, str]:
        settings = Settings(audits=Audits(**wanted))
        stage = run_stage(job.model_copy(update={"settings": settings}), "audit")
        return stage.outcome, stage.reason

    outcome, reason = audited(suites=("contacts",), minimum_score=1.0)
    assert outcome is Outcome.FAIL and reason.startswith("audit of contacts: ")
    for suite, limit, said in (
        ("contract", 900.0, "could not be carried out: there is no suite 'contract'"),
        ("contacts", 0.01, "the audits did not end within 0 s"),
    ):
        outcome, reason = audited(suites=(suite,), timeout=limit)
        assert outcome is Outcome.ERROR and said in reason, reason
    found = json.loads((Path(job.scratch) / "audit" / "crmops.yaml").read_text())
    assert str(job.sockets) in found["targets"]["copy"]["database"]["url"]
