"""``crmops serve``: begins and ends in order, as root it is nobody, and keeps a schedule."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from crmops.cli import run as crmops
from crmops.config import load_config
from crmops.history import open_history
from crmops.record import Kind, Verdict, new_run, utc_now
from crmops.schedule import Scheduler
from crmops.schedule_settings import Settings, crontab_days
from tests.serve.support import serving

ROOT = Path(__file__).resolve().parents[2]
BAD = ROOT / "tests" / "data" / "bad" / "schedule"
BASE = (
    "targets: {crm: {connector: refcrm, url: 'http://127.0.0.1:9', username: a,"
    " password: 'file:password', timeout: 2}}\n"
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that an unprivileged server can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="crmops-serve-"))
    folder.chmod(0o755)
    (folder / "password").write_text("tr0ub4dor")
    (folder / "password").chmod(0o600)
    (folder / "crmops.yaml").write_text(BASE)
    yield folder
    shutil.rmtree(folder)


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_it_serves_everything_and_ends_in_order(place: Path) -> None:
    (place / "crmops.yaml").write_text(BASE + "probes: {probes: [{journey: login, every: 1s}]}\n")
    with serving(place / "crmops.yaml") as served:
        with httpx.Client(base_url=served.url, trust_env=False) as http:
            assert "crm_history_up 1" in http.get("/metrics").text
            assert http.get("/api/v1/alerts").status_code == 405
            assert http.get("/healthz").json() == {"status": "ok"}
            assert http.get("/").status_code == 200
            assert "## Diagnosis" in http.get("/runbooks/CrmProbeSlow?format=json").json()["text"]
            until(lambda: 'result="fail"' in http.get("/metrics").text)
        family = psutil.Process(served.process.pid).children(recursive=True)
        before = time.monotonic()
        code, said = served.end()
        took = time.monotonic() - before
        ready = served.ready
    assert (code, said.count("Traceback")) == (0, 0)
    assert took < 10
    assert family == []
    assert not ready.exists()
    history = open_history(f"sqlite:///{place}/.crmops/history.db", place / ".crmops/artifacts")
    assert history.live() == []
    assert {each.verdict for each in history.find(Kind.PROBE)} == {Verdict.FAIL}
    history.close()


def test_an_open_connection_does_not_keep_it(place: Path) -> None:
    with serving(place / "crmops.yaml") as served:
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n")
            before = time.monotonic()
            assert served.end()[0] == 0
    assert time.monotonic() - before < 10


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a right to leave")
def test_as_root_it_is_nobody_also_below_a_closed_directory(place: Path) -> None:
    """A clone below /root: nobody but root may enter, and yet everything must be readable."""
    clone = place / "clone"
    clone.mkdir()
    clone.chmod(0o700)
    for name in ("crmops", "probes", "exporter", "alerts", "console"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "password").write_text("tr0ub4dor")
    (clone / "crmops.yaml").write_text(
        BASE
        + "probes: {probes: [{journey: login, every: 1s}]}\n"
        + "schedule: {entries: [{run: 'probe run search', cron: '* * * * *'}]}\n"
    )
    (clone / "password").chmod(0o600)
    with serving(clone / "crmops.yaml", cwd=clone) as served:
        assert psutil.Process(served.process.pid).username() == "nobody"
        with httpx.Client(base_url=served.url, trust_env=False) as http:
            until(lambda: 'result="fail"' in http.get("/metrics").text)
            assert "CrmProbeSlow" in http.get("/runbooks/CrmProbeSlow").text
            assert "</html>" in http.get("/runs").text
            assert http.get("/static/console.css").status_code == 200
        # a run that root writes meanwhile, with a file: the server reads it
        config = load_config(clone / "crmops.yaml", environ={})
        history = open_history(config.history_url, config.artifacts_dir)
        run = history.begin(new_run(Kind.DQ, "crm", "contacts"))
        evidence = history.attach(run.id, "result.json", "{}")
        history.finish(run.with_(ended=utc_now(), evidence=(evidence,), verdict=Verdict.PASS))
        history.close()
        answer = httpx.get(f"{served.url}/runs/{run.id}/files/result.json", trust_env=False)
        assert (answer.status_code, answer.text) == (200, "{}")
    owners = {each.owner() for each in (clone / ".crmops").rglob("*") if each.exists()}
    assert owners == {pwd.getpwnam("nobody").pw_name}
    assert clone.stat().st_mode & 0o777 == 0o700


def test_a_port_that_is_taken(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = ["--quiet", "--config", str(place / "crmops.yaml")]
        assert crmops([*config, "serve", "--port", str(port)]) == 4
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        f"error: cannot listen on 127.0.0.1:{port}: address already in use\n"
        "hint: Another program has the port: choose one with --port; 0 is any free one.\n",
    )


def test_an_address_that_is_not_ours(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--quiet", "--config", str(place / "crmops.yaml")]
    assert crmops([*config, "serve", "--host", "192.0.2.1", "--port", "0"]) == 4
    assert capsys.readouterr().err == (
        "warning: whoever reaches 192.0.2.1 can read the history and report alerts\n"
        "error: cannot listen on 192.0.2.1:0: cannot assign requested address\n"
        "hint: Choose another address with --host.\n"
    )


KINDS = sorted(each.stem for each in BAD.glob("*.yaml"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_schedule_is_named_to_the_line(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(KINDS) >= 8
    monkeypatch.chdir(tmp_path)
    Path("crmops.yaml").write_text((BAD / f"{kind}.yaml").read_text())
    assert crmops(["--quiet", "serve", "--port", "0"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", (BAD / f"{kind}.txt").read_text())


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("*", "*"),
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("5-7", "sun,fri,sat"),
        ("fri-mon", "sun,mon,fri,sat"),
        ("*/2", "sun,tue,thu,sat"),
        ("1-5/2", "mon,wed,fri"),
        ("MON,3", "mon,wed"),
    ],
)
def test_weekdays_are_those_of_crontab(field: str, days: str) -> None:
    assert crontab_days(field) == days


def scheduler(place: Path, command: list[str], cron: str = "0 0 1 1 *") -> Scheduler:
    (place / "crmops.yaml").write_text(
        f"{BASE}schedule: {{entries: [{{run: runs list, cron: '{cron}', name: it}}]}}\n"
    )
    config = load_config(place / "crmops.yaml", environ={})
    history = open_history(config.history_url, config.artifacts_dir)
    return Scheduler(config, history, command)


def test_a_scheduled_command_is_carried_out(place: Path) -> None:
    work = scheduler(place, [sys.executable, "-m", "crmops"])
    assert work.run(work.settings.entries[0]) == 0
    assert "runs" in (place / ".crmops/logs/schedule-it.log").read_text()
    work._history.close()


def test_nobody_else_does_it_meanwhile(place: Path) -> None:
    work = scheduler(place, [sys.executable, "-c", "pass"])
    work._history.claim("schedule/it", timedelta(hours=1), owner="elsewhere/1/1.0")
    assert work.run(work.settings.entries[0]) is None
    work._history.close()


def test_a_child_that_is_killed_leaves_an_error(place: Path) -> None:
    """The child begins a run and is killed in the middle."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from crmops.config import load_config\n"
        "from crmops.history import open_history\n"
        "from crmops.record import Kind, new_run\n"
        "config = load_config(Path(sys.argv[3]))\n"
        "history = open_history(config.history_url, config.artifacts_dir)\n"
        "history.begin(new_run(Kind.DQ, 'crm', 'contacts'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    work = scheduler(place, [sys.executable, "-c", code])
    assert work.run(work.settings.entries[0]) == -signal.SIGKILL
    [run] = work._history.find()
    assert (run.verdict, run.reason) == (Verdict.ERROR, "killed before it could end")
    work._history.close()


def test_stopping_ends_the_children(place: Path) -> None:
    """Also one that is deaf, and its own child."""
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pids', 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    work = scheduler(place, [sys.executable, "-c", code], cron="* * * * *")
    work.start()
    try:
        work._clock.get_jobs()[0].modify(next_run_time=utc_now())
        until(lambda: (place / "pids").exists() and (place / "pids").read_text() != "")
    finally:
        work.stop(patience=0.5)
    pid = int((place / "pids").read_text())
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 5)
    until(lambda: work._children == set(), 5)
    work._history.close()


def test_an_empty_schedule_is_fine() -> None:
    assert Settings().entries == ()


def test_a_history_that_cannot_be_written(place: Path) -> None:
    """Locked for good by somebody else: serve says so and ends; nothing hangs."""
    (place / ".crmops").mkdir()
    sqlite3.connect(place / ".crmops" / "history.db").close()
    (place / ".crmops" / "history.db").write_bytes(b"no database " * 1000)
    done = subprocess.run(
        [sys.executable, "-m", "crmops", "--config", str(place / "crmops.yaml"), "serve"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.startswith(
        "error: the history cannot be used: file is not a database\nhint: Look at history.url"
    )
