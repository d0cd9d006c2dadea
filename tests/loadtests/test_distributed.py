"""One load from several workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from crmops import __version__
from crmops.errors import CannotRun
from crmops.history import History
from crmops.record import Kind, Run, Verdict
from crmops.secret import Secret
from loadtests.distributed.fleet import Fleet
from loadtests.live import Live
from loadtests.plan import Plan
from loadtests.recording import Recording
from loadtests.settings import Distributed
from loadtests.tidy import clean_up_run
from loadtests.workload import Workload
from tests.conftest import RefcrmServer, TargetFactory

from .conftest import SMALL, Loaded
from .fleet import PATIENT, ROOT, SECRET, Crew, elsewhere
from .test_run import marked, value

STEADY = Workload.model_validate(
    {
        **SMALL.model_dump(),
        "model": "open",
        "arrivals": "constant",
        "patience": 60,
        "pace": 0.001,
        "phases": [
            {"name": "steady", "seconds": 5, "rate": 50},
            {"name": "rest", "seconds": 2, "rate": 0.5},  # nothing of it is cut off by the end
        ],
        "roles": {"rep": {"share": 1, "journeys": {"create_lead": 1}}},
    }
)


OTHER = """
import os
import crmops
crmops.__version__ = "0.0.1"
from loadtests.child.worker import main
os._exit(main())
"""
PLAIN = """
from locust.env import Environment
Environment(user_classes=[]).create_worker_runner("{host}", {port})
"""


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    made = Crew(tmp_path)
    yield made
    made.end()


def counts_of(run: Run, history: History) -> dict[str, int]:
    """What was counted in the steady phase.  Who logs in depends on who is idle when."""
    document = json.loads((history.artifacts(run.id) / "result.json").read_text())
    journeys, calls = (
        Recording.unpack(document[each]).where(
            lambda key: key.phase == "steady" and key.operation not in ("login", "session.create")
        )
        for each in ("journey_times", "response")
    )
    arrivals = document["counts"]["arrivals"]
    return {"arrivals": arrivals, "journeys": journeys.counted(), "calls": calls.counted()}


def test_two_workers_count_what_one_process_counts(
    load: Loaded, history: History, target_factory: TargetFactory, refcrm_server: RefcrmServer,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    patient = Crew(tmp_path).settings(1).model_copy(update={"distributed": Distributed()})
    alone = load(target_factory(), STEADY, patient)
    with elsewhere(refcrm_server.url) as place:
        crew = Crew(tmp_path, place)
        try:
            for _ in range(2):
                crew.start()
            strangers = start_strangers(crew)
            host = place.url.removeprefix("http://").rpartition(":")[0]
            settings = crew.settings(2, allowed_hosts=(host,))
            run = load(target_factory(url=place.url), STEADY, settings)
            ends = crew.ends()
        finally:
            crew.end()
            said = end_strangers(strangers)
    assert (alone.verdict, run.verdict) == (Verdict.PASS, Verdict.PASS), run.reason
    assert counts_of(run, history) == pytest.approx(counts_of(alone, history), rel=0.01)
    assert value(run, "data.lost") == value(run, "data.left") == 0
    assert marked(refcrm_server, run.id) == 0
    rss = run.measure("instrument.rss")
    assert rss is not None
    assert rss.observed == 2
    assert all(code == 0 and "done; the master has everything" in said for code, said in ends)
    _check_files(run, history, tmp_path, refcrm_server)
    heard = capsys.readouterr().err
    assert f"waiting for 2 load workers on {crew.address}" in heard
    assert heard.count("a load worker has joined from ") == 2
    assert "a load worker was refused: somebody who does not know the secret" in heard
    assert f" has crmops 0.0.1, locust {version('locust')}, not crmops {__version__}" in heard
    assert said["message"].startswith(f"the master has crmops {__version__}, locust ")


def start_strangers(crew: Crew) -> list[subprocess.Popen[bytes]]:
    """Whoever does not belong: one of another version, and locust as it is, without a secret."""
    host, port = crew.place.host, crew.port
    scripts = (OTHER, PLAIN.format(host=host, port=port))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for script in scripts
    ]  # fmt: skip
    folder = str(crew.folder / "other")
    order = {"host": host, "port": port, "secret": SECRET, "folder": folder, "wait": 60}
    assert started[0].stdin is not None
    started[0].stdin.write(json.dumps(order).encode() + b"\n")
    started[0].stdin.flush()
    return started


def end_strangers(strangers: list[subprocess.Popen[bytes]]) -> dict[str, str]:
    """End them; returns the last words of the one of another version."""
    other, plain = strangers
    try:
        assert plain.poll() is None  # it waits for a master that never hears it
        words: dict[str, str] = json.loads(other.communicate(timeout=60)[0].splitlines()[-1])
        return words
    finally:
        for each in strangers:
            each.kill()
            each.communicate()


def _check_files(run: Run, history: History, folder: Path, server: RefcrmServer) -> None:
    """Every journal is at the master's, none is left at the workers', and nobody's secret is."""
    files = list(history.artifacts(run.id).iterdir())
    journals = sorted(path.name for path in files if path.name.endswith("journal.jsonl"))
    assert journals == ["00-1-journal.jsonl", "01-1-journal.jsonl"]
    assert not list((folder / "journals").iterdir())
    for path in files:
        text = path.read_text()
        assert SECRET not in text
        assert server.password not in text


def test_a_lost_worker_that_returns_casts_a_doubt(
    crew: Crew, load: Loaded, history: History, target_factory: TargetFactory,
    refcrm_server: RefcrmServer,
) -> None:  # fmt: skip
    for _ in range(2):
        crew.start("--stay")
    killed: list[int] = []

    def watch(now: Live) -> None:
        if now.at >= 2 and not killed:
            killed.append(crew.busy()[0])
            crew.generator(killed[0]).kill()

    run = load(target_factory(), SMALL.changed(seconds=12), crew.settings(2, 5), watch=watch)
    assert run.verdict is Verdict.UNKNOWN
    assert ") was lost after " in run.reason
    assert ": it said nothing for 5 s" in run.reason
    assert ") was taken up again after " in run.reason
    assert value(run, "users") == 20
    document = json.loads((history.artifacts(run.id) / "result.json").read_text())
    assert len(document["generators"]["incidents"]) == 2
    assert document["seconds"][-2]["users"] == 20  # all are there again
    said = crew.said(killed[0])
    assert "error: the load worker was killed by SIGKILL" in said
    assert said.count("people are here") == 2
    journals = sorted(each.name for each in history.artifacts(run.id).glob("*journal.jsonl"))
    assert len(journals) == 3  # what the killed one had written, the next one has handed over
    assert not list((crew.folder / "journals").glob("*/*"))
    assert value(run, "data.left") == 0
    assert marked(refcrm_server, run.id) == 0


def test_without_any_worker_left_it_is_an_error(
    crew: Crew, load: Loaded, target_factory: TargetFactory, refcrm_server: RefcrmServer
) -> None:
    crew.start()

    def watch(now: Live) -> None:
        if now.at >= 1 and crew.started[0].poll() is None:
            crew.started[0].terminate()  # as an orchestrator does

    run = load(target_factory(), SMALL.changed(seconds=60), crew.settings(1, 2), watch=watch)
    assert run.verdict is Verdict.ERROR
    assert run.reason.startswith("no load worker was left after ")
    assert marked(refcrm_server, run.id) == 0
    assert crew.ends()[0][0] == 130
    assert not list((crew.folder / "journals").glob("*/*"))


def test_an_interrupted_run_has_the_journals(
    crew: Crew, load: Loaded, history: History, target_factory: TargetFactory,
    refcrm_server: RefcrmServer,
) -> None:  # fmt: skip
    crew.start()

    def watch(now: Live) -> None:
        if now.at >= 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        load(target_factory(), SMALL.changed(seconds=60), crew.settings(1), watch=watch)
    ((code, said),) = crew.ends()
    assert (code, "done; the master has everything" in said) == (0, True)
    run = history.latest(Kind.LOAD)
    assert run is not None
    assert marked(refcrm_server, run.id) > 0
    cleaned = clean_up_run(target_factory(), history.artifacts(run.id), run.id)
    assert (cleaned.left, cleaned.foreign) == ([], [])
    assert marked(refcrm_server, run.id) == 0


def test_workers_end_when_their_master_is_killed(
    crew: Crew, load: Loaded, history: History, target_factory: TargetFactory,
    refcrm_server: RefcrmServer,
) -> None:  # fmt: skip
    crew.start()

    def watch(now: Live) -> None:
        if now.at >= 2:
            for each in psutil.Process(os.getpid()).children():
                if "loadtests.child.master" in each.cmdline():
                    each.kill()

    run = load(target_factory(), SMALL.changed(seconds=60), crew.settings(1, 5), watch=watch)
    assert run.verdict is Verdict.ERROR
    assert run.reason.startswith("the load master was killed by SIGKILL")
    ((code, said),) = crew.ends()
    assert code == 4
    assert "it heard nothing of the master for 5 s and ended" in said
    (journal,) = (crew.folder / "journals" / run.id).glob("*journal.jsonl")
    shutil.copy(journal, history.artifacts(run.id))  # as the worker's words advise
    cleaned = clean_up_run(target_factory(), history.artifacts(run.id), run.id)
    assert (cleaned.left, cleaned.foreign) == ([], [])
    assert marked(refcrm_server, run.id) == 0


def plan_of(target: dict[str, object]) -> Plan:
    workload = SMALL.model_dump(mode="json")
    return Plan("run", "seed", target, workload, {}, [], "journal", 1.0)


def test_too_few_workers_in_time(crew: Crew, tmp_path: Path) -> None:
    settings = Distributed(listen=crew.address, wait=0.5, secret=Secret(SECRET))
    with pytest.raises(CannotRun) as refused:
        Fleet([plan_of({}), plan_of({})], tmp_path, PATIENT.silence, settings, lambda: None)
    assert refused.value.message == "0 of 2 load workers have joined within 0.5 s"


def test_an_address_that_is_taken(crew: Crew, tmp_path: Path) -> None:
    import socket

    settings = Distributed(listen=crew.address, wait=60, secret=Secret(SECRET))
    with (
        socket.create_server((crew.place.host, crew.port)),
        pytest.raises(CannotRun) as refused,
    ):
        Fleet([plan_of({})], tmp_path, PATIENT.silence, settings, lambda: None)
    assert refused.value.message == f"cannot listen on {crew.address}: address already in use"
