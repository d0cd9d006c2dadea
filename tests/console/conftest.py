"""Histories that a console has to show, and a console that is served."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn

from console.app import create_app
from crmops.config import load_config
from crmops.history import History, open_history
from crmops.record import Finding, Kind, Measure, Run, Unit, Verdict, new_id, new_run, utc_now

CONFIG = """
default_target: crm
targets: {crm: {connector: refcrm, url: 'http://127.0.0.1:1'}}
exporter: {expected: [{kind: backup, subject: weekly}]}
gates:
  launch:
    requirements:
      - {name: carries the launch, kind: load, subject: launch, measure: response_time.p95,
         limit: 1, unit: seconds, owner: sre}
      - {name: people can log in, kind: probe, subject: login}
      - {name: it can be restored, kind: drill, subject: restore, maximum_age: 92d}
    waivers:
      - {requirement: it can be restored, reason: moved next week, approver: Li Na,
         granted: 2020-01-01, expires: 2020-02-01}
"""
STATES = ("empty", "normal", "failing", "huge")


def count(name: str, value: float | None, unit: Unit = Unit.COUNT, observed: int = 1) -> Measure:
    return Measure(name=name, value=value, unit=unit, observed=observed)


LOAD = (
    count("response_time.p50", 0.08, Unit.SECONDS, 41000),
    count("response_time.p95", 0.31, Unit.SECONDS, 41000),
    count("response_time.p99", 0.92, Unit.SECONDS, 41000),
    count("error.ratio", 0.0004, Unit.RATIO, 41000),
    count("request.rate", 684.2, Unit.COUNT, 41000),
    count("users", 500, Unit.COUNT, 500),
    count("response_time.p95{deals.list}", 0.21, Unit.SECONDS, 18000),
    count("error.ratio{deals.list}", 0.0, Unit.RATIO, 18000),
    count("response_time.p95{contacts.search}", 0.44, Unit.SECONDS, 9000),
    count("error.ratio{contacts.search}", 0.001, Unit.RATIO, 9000),
    count("response_time.p95{reports.pipeline}", None, Unit.SECONDS, 0),
)
MEASURES: dict[Kind, tuple[Measure, ...]] = {
    Kind.LOAD: LOAD,
    Kind.PROBE: (
        count("duration", 0.12, Unit.SECONDS),
        count("step.login", 0.05, Unit.SECONDS),
    ),
    Kind.DQ: (
        count("score", 0.963, Unit.RATIO, 20000),
        count("rows", 20000, Unit.COUNT, 20000),
        count("score{completeness}", 0.99, Unit.RATIO, 20000),
        count("score{uniqueness}", 0.94, Unit.RATIO, 20000),
    ),
    Kind.BACKUP: (count("size", 88 << 20, Unit.BYTES), count("duration", 6.2, Unit.SECONDS)),
    Kind.DRILL: (count("rto", 14.8, Unit.SECONDS), count("rpo", 0.6, Unit.SECONDS)),
    Kind.GATE: (count("requirements.met", 3, Unit.COUNT, 3),),
    Kind.ALERT: (count("firing", 1), count("lasted", 12, Unit.SECONDS)),
}


def ended(
    kind: Kind, subject: str, verdict: Verdict = Verdict.PASS, ago: float = 60.0, **more: object
) -> Run:
    """A run that ended some seconds ago."""
    moment = utc_now() - timedelta(seconds=ago)
    fields: dict[str, object] = {
        "id": new_id(),
        "kind": kind,
        "target": "crm",
        "subject": subject,
        "begun": moment - timedelta(seconds=2),
        "ended": moment,
        "verdict": verdict,
        "reason": f"{subject} is {verdict}",
        "measures": MEASURES.get(kind, ()),
        "tool_versions": {"crmops": "0.1.0"},
        **more,
    }
    return Run.model_validate(fields)


def fill(history: History, state: str) -> None:
    """Put something into a history: nothing, an ordinary day, a bad day, or very much."""
    if state == "empty":
        return
    bad = state == "failing"
    for number in range(60 if state == "normal" else 12):
        verdict = (Verdict.FAIL, Verdict.PASS, Verdict.ERROR, Verdict.UNKNOWN)[number % 4]
        verdict = verdict if bad or number in (32, 34) else Verdict.PASS
        for journey in ("login", "search", "browse_open"):
            wobble = 0.1 + (number * 7 % 13) / 100
            measures = (count("duration", wobble, Unit.SECONDS), count("step.home", 0.02))
            age = 15.0 * (60 - number)
            history.record(ended(Kind.PROBE, journey, verdict, age, measures=measures))
    verdict = Verdict.FAIL if bad else Verdict.PASS
    for age in (86400.0 * 3, 86400.0, 600.0):
        _load(history, verdict, age)
        history.record(ended(Kind.DQ, "contacts", verdict, age))
        history.record(ended(Kind.BACKUP, "database", verdict, age))
        history.record(ended(Kind.DRILL, "restore", verdict, age))
    history.record(ended(Kind.GATE, "launch", verdict, 30))
    if bad:
        finding = Finding(title="CrmProbeSlow", detail="journey=login", severity="critical")
        history.record(ended(Kind.ALERT, "CrmProbeSlow", Verdict.FAIL, 240, findings=(finding,)))
    run = history.begin(new_run(Kind.LOAD, "crm", "soak"))
    standing = [count(f"verdict{{{each}}}", float(each is Verdict.FAIL)) for each in Verdict]
    live = [count("users", 320), count("error.ratio", 0.01, Unit.RATIO)]
    history.beat(run.id, [*live, count("calls{ok}", 90), count("calls{server}", 1), *standing])
    if state == "huge":
        for number in range(500):
            history.record(ended(Kind.PULL, f"file-{number}", ago=number + 1.0))


def _load(history: History, verdict: Verdict, ago: float) -> None:
    run = ended(Kind.LOAD, "launch", verdict, ago)
    seconds = [
        {"at": at, "users": min(at * 25, 500), "p95": 0.2 + at % 7 / 50, "requests": at * 10}
        for at in range(60)
    ]
    evidence = (
        history.attach(run.id, "result.json", json.dumps({"seconds": seconds})),
        history.attach(run.id, "report.html", "<h1>report</h1><script>1</script>"),
        history.attach(run.id, "worklist.csv", "id,rule\r\n1,email\r\n"),
    )
    finding = Finding(title="slow search", detail="p95 of contacts.search", subject="sre")
    history.record(run.with_(evidence=evidence, findings=(finding,)))


class Console:
    """A served console over one history."""

    def __init__(self, url: str, history: History) -> None:
        self.url = url
        self.history = history
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def pages(self) -> list[str]:
        """Every kind of page that there is to look at."""
        found = ["/", "/launch/launch", "/runs", "/runbooks/CrmProbeSlow", "/nowhere"]
        for kind in Kind:
            newest = self.history.find(kind, limit=1)
            found += [f"/runs/{each.id}" for each in newest]
        found += [f"/runs/{each.run.id}" for each in self.history.live()]
        return [*found, "/runs?kind=probe&subject=login"]

    def run(self, kind: Kind, subject: str) -> Run:
        """The newest ended run."""
        run = self.history.latest(kind, "crm", subject)
        assert run is not None
        return run


Serve = Callable[[str], Console]


@pytest.fixture(scope="session")
def consoles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A console for each state of the history, served once for all tests."""
    made: dict[str, tuple[Console, uvicorn.Server, threading.Thread]] = {}

    def serve(state: str) -> Console:
        if state not in made:
            made[state] = _serve(tmp_path_factory.mktemp(state), state)
        return made[state][0]

    yield serve
    for console, server, thread in made.values():
        console.http.close()
        server.should_exit = True
        thread.join()
        console.history.close()


def _serve(folder: Path, state: str) -> tuple[Console, uvicorn.Server, threading.Thread]:
    (folder / "crmops.yaml").write_text(CONFIG)
    config = load_config(folder / "crmops.yaml", environ={})
    history = open_history(config.history_url, config.artifacts_dir)
    fill(history, state)
    app = create_app(config, history)
    how = uvicorn.Config(app, port=0, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(how)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    return Console(f"http://127.0.0.1:{port}", history), server, thread
