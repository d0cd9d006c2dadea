"""Whole load tests on the real reference CRM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from crmops.errors import AlreadyRunning, TargetUnreachable, UsageError
from crmops.history import History, LiveRun
from crmops.record import Kind, Run, Verdict
from crmops.secret import Secret
from crmops.target import Account, LoadPermission, Target
from crmops.verdict import Objective
from loadtests.live import Live
from loadtests.recording import Recording
from loadtests.settings import KillSwitch
from loadtests.tidy import clean_up_run
from loadtests.workload import Workload
from tests.conftest import RefcrmServer, TargetFactory

from .conftest import SETTINGS, SMALL, Loaded


def marked(server: RefcrmServer, tag: str) -> int:
    """How many records of a run the CRM holds."""
    headers = {"authorization": f"Bearer {server.admin_token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as http:
        return sum(
            len(http.get(f"/api/v1/{each}", params={"source_tag": tag}).json()["records"])
            for each in ("leads", "deals", "contacts", "accounts", "cases")
        )


def generators_of(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children()
    return [each for each in children if "loadtests.child" in each.cmdline()]


def value(run: Run, name: str) -> float:
    found = run.measure(name)
    assert found is not None, name
    assert found.value is not None, name
    return found.value


def test_a_load_test_from_beginning_to_end(
    load: Loaded, history: History, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    seen: list[Live] = []
    live: list[LiveRun] = []

    def watch(now: Live) -> None:
        seen.append(now)
        live.extend(history.live())

    selected = (
        Objective(measure="response_time.p50{login,role=rep}", limit=10),
        Objective(measure="error.ratio{phase=work}", limit=0.5),
    )
    objectives = (*SETTINGS.objectives, *selected)
    settings = SETTINGS.model_copy(update={"objectives": objectives})
    run = load(target_factory(), settings=settings, watch=watch)
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 4 objectives met")
    assert (run.kind, run.subject, run.target) == (Kind.LOAD, "small", "crm")
    assert history.get(run.id) == run
    assert value(run, "users") == 20
    assert value(run, "data.created") > 0
    assert (value(run, "data.lost"), value(run, "data.left")) == (0, 0)
    assert marked(refcrm_server, run.id) == 0
    assert value(run, "instrument.sent.ratio") > 0.9
    assert value(run, "response_time.p50") <= value(run, "response_time.p99")
    assert value(run, "response_time.p99") <= value(run, "response_time.max")
    assert value(run, "response_time.p95{deals.create}") > 0
    assert "locust" in run.tool_versions
    assert any(each.users == 20 for each in seen)
    names = {measure.name for each in live for measure in each.measures}
    assert names >= {
        "users", "request.rate", "response_time.p95", "error.ratio", "scheduled", "on_time",
        "dropped", "instrument.loop_lag.p99", "calls{ok}", "users{rep}", "verdict{pass}",
    }  # fmt: skip
    assert seen[-1].judgement.verdict is Verdict.PASS, seen[-1].judgement.reason
    assert [each.verdict for each in seen[-1].judgement.checks] == [Verdict.PASS] * 4
    _check_evidence(run, history, refcrm_server)


def _check_evidence(run: Run, history: History, server: RefcrmServer) -> None:
    assert {Path(each.path).name for each in run.evidence} == {
        "result.json",
        "report.html",
        "tables.csv",
        "junit.xml",
        "response.hlog",
    }
    assert all(history.files.intact(each) for each in run.evidence)
    folder = history.artifacts(run.id)
    document = json.loads((folder / "result.json").read_text())
    recording = Recording.unpack(document["response"])
    total = run.measure("error.ratio")
    assert total is not None
    assert recording.counted() == total.observed
    assert sum(each["requests"] for each in document["seconds"]) == total.observed
    for path in folder.iterdir():
        text = path.read_text()
        assert server.password not in text
        assert server.username("rep") not in text
        assert "rehearsal.example" not in text


def test_two_generators_are_one_load(load: Loaded, target_factory: TargetFactory) -> None:
    run = load(target_factory(), settings=SETTINGS.model_copy(update={"workers": 2}))
    assert run.verdict is Verdict.PASS
    assert value(run, "users") == 20
    rss = run.measure("instrument.rss")
    assert rss is not None
    assert rss.observed == 2


def test_a_crm_that_fails_fails_and_says_where(
    load: Loaded, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    workload = SMALL.changed(seconds=4)
    switch = KillSwitch(error_ratio=1.0)
    settings = SETTINGS.model_copy(update={"kill_switch": switch})

    def watch(now: Live) -> None:
        if now.at >= 2:
            httpx.put(f"{refcrm_server.url}/_faults", json={"error_ratio": 0.5}, trust_env=False)

    try:
        run = load(target_factory(), workload, settings, watch=watch)
    finally:
        httpx.delete(f"{refcrm_server.url}/_faults", trust_env=False)
    assert run.verdict is Verdict.FAIL
    assert run.reason.startswith("error.ratio is ")
    failing = [each for each in run.findings if ": server in " in each.title]
    assert failing
    assert all("status 5" in each.detail for each in failing if "journey" not in each.title)


def test_the_kill_switch_ends_a_run_that_only_does_harm(
    load: Loaded, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    switch = KillSwitch(error_ratio=0.3, seconds=2, samples=20)
    settings = SETTINGS.model_copy(update={"kill_switch": switch})
    workload = SMALL.changed(seconds=30)

    def watch(now: Live) -> None:
        if now.at >= 1:
            httpx.put(f"{refcrm_server.url}/_faults", json={"error_ratio": 1}, trust_env=False)

    began = time.monotonic()
    try:
        run = load(target_factory(), workload, settings, watch=watch)
    finally:
        httpx.delete(f"{refcrm_server.url}/_faults", trust_env=False)
    assert run.verdict is Verdict.FAIL
    assert run.reason.startswith("stopped after ")
    assert time.monotonic() - began < 25


def test_lost_writes_fail_and_are_named(
    load: Loaded, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    with refcrm_server.faults(lost_write_ratio=0.3):
        run = load(target_factory())
    assert run.verdict is Verdict.FAIL
    assert "acknowledged writes are lost" in run.reason
    assert value(run, "data.lost") > 0
    assert any(" acknowledged creates are not in the CRM" in each.title for each in run.findings)
    assert marked(refcrm_server, run.id) == 0


def test_nobody_came(load: Loaded, target_factory: TargetFactory) -> None:
    nobody = {**SMALL.model_dump(), "phases": [{"name": "p", "seconds": 1.5, "people": 0}]}
    run = load(target_factory(), Workload.model_validate(nobody))
    assert (run.verdict, run.reason) == (Verdict.UNKNOWN, "no request was sent")


def test_a_killed_generator_is_an_error_that_says_so(
    load: Loaded, history: History, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    def watch(now: Live) -> None:
        if now.at >= 2:
            for each in generators_of(os.getpid()):
                each.kill()

    run = load(target_factory(), SMALL.changed(seconds=20), watch=watch)
    assert run.verdict is Verdict.ERROR
    assert run.reason.startswith("load generator 0 was killed by SIGKILL after ")
    assert run.reason.endswith(" of 20 s")
    assert value(run, "response_time.p50") > 0
    assert value(run, "data.left") == 0
    assert marked(refcrm_server, run.id) == 0
    assert len(run.evidence) == 5
    assert not generators_of(os.getpid())


PARENT = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}]
from tests.loadtests.test_run import parent
parent(*map(str, sys.argv[1:]))
"""


def parent(url: str, password: str, users: str, state: str) -> None:
    """The main of a process that is going to be killed."""
    from crmops.history import open_history
    from loadtests.assignment import prepare
    from loadtests.run import run_load

    accounts = tuple(
        Account(username=name, password=Secret(password), role="rep") for name in json.loads(users)
    )
    target = Target(
        name="crm",
        connector="refcrm",
        url=url,
        accounts=accounts,
        load=LoadPermission(allowed=True),
    )
    only_reps = {**SMALL.model_dump(), "roles": {"rep": {"share": 1, "journeys": {"move_deal": 1}}}}
    workload = Workload.model_validate(only_reps).changed(seconds=60)
    opened = open_history(f"sqlite:///{state}/history.db", Path(state) / "artifacts")

    def watch(now: Live) -> None:
        sys.stdout.write(f"{now.at}\n")
        sys.stdout.flush()

    run_load(prepare(target, workload, SETTINGS), opened, watch=watch)


def test_a_killed_parent_leaves_an_error_and_what_it_made_can_be_removed(
    tmp_path: Path, history: History, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    root = str(Path(__file__).resolve().parents[2])
    names = [refcrm_server.username("rep", at) for at in range(20)]
    arguments = [refcrm_server.url, refcrm_server.password, json.dumps(names), str(tmp_path)]
    script = PARENT.format(root=root)
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if float(line) > 2:
                break
        children = generators_of(process.pid)
        assert children
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, "the generator outlived its parent"
    (run,) = history.reap()
    assert (run.verdict, run.reason) == (Verdict.ERROR, "killed before it could end")
    assert marked(refcrm_server, run.id) > 0
    folder = history.artifacts(run.id)
    cleaned = clean_up_run(target_factory(), folder, run.id)
    assert cleaned.deleted > 0
    assert (cleaned.left, cleaned.foreign) == ([], [])
    assert marked(refcrm_server, run.id) == 0
    again = clean_up_run(target_factory(), folder, run.id)
    assert (again.deleted, again.left) == (0, [])


def test_an_interrupted_run_stops_its_generator(
    load: Loaded, history: History, target_factory: TargetFactory
) -> None:
    def watch(now: Live) -> None:
        if now.at >= 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        load(target_factory(), SMALL.changed(seconds=30), watch=watch)
    assert not generators_of(os.getpid())
    run = history.latest(Kind.LOAD)
    assert run is not None
    assert (run.verdict, run.reason) == (Verdict.ERROR, "interrupted")


def test_an_open_load_keeps_its_rate(load: Loaded, target_factory: TargetFactory) -> None:
    opened = {
        **SMALL.model_dump(),
        "model": "open",
        "phases": [{"name": "steady", "seconds": 5, "rate": 20}],
    }
    run = load(target_factory(), Workload.model_validate(opened))
    assert run.verdict is Verdict.PASS, run.reason
    dropped = run.measure("dropped.ratio")
    assert dropped is not None
    assert dropped.value == 0
    assert 60 <= dropped.observed <= 140
    assert value(run, "service_time.p95") <= value(run, "response_time.max")
    assert value(run, "queue_wait.p95") >= 0


def test_the_cap_on_the_rate_is_kept_and_said(load: Loaded, target_factory: TargetFactory) -> None:
    capped = target_factory(load=LoadPermission(allowed=True, max_rate=10))
    run = load(capped)
    assert run.verdict is Verdict.UNKNOWN
    assert "the target's rate cap held " in run.reason
    assert value(run, "request.rate") <= 12


def test_two_at_once_are_refused(
    load: Loaded, history: History, target_factory: TargetFactory
) -> None:
    from datetime import timedelta

    history.claim("load/crm", timedelta(seconds=60), owner="elsewhere/1/1.0")
    with pytest.raises(AlreadyRunning) as refused:
        load(target_factory())
    assert refused.value.message == "target 'crm' is under load already"
    assert history.find(Kind.LOAD) == []


def test_an_unreachable_target_is_an_error(
    load: Loaded, history: History, target_factory: TargetFactory
) -> None:
    with pytest.raises(TargetUnreachable) as refused:
        load(target_factory(url="http://127.0.0.1:9"))
    assert refused.value.message.startswith("target 'crm' does not answer: ")
    run = history.latest(Kind.LOAD)
    assert run is not None
    assert run.verdict is Verdict.ERROR


def test_a_wrong_password_is_said_once_not_by_thousands(
    load: Loaded, history: History, target_factory: TargetFactory
) -> None:
    accounts = tuple(
        each.model_copy(update={"password": Secret("wrong")}) for each in target_factory().accounts
    )
    with pytest.raises(UsageError) as refused:
        load(target_factory(accounts=accounts))
    assert refused.value.message == "target 'crm' refuses the login of the first account"
