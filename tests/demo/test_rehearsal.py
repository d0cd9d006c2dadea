"""The whole promise: a rehearsal says go only when every stage has left its evidence."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from crmops.config import load_config
from crmops.gate import Decision, Gates, decide
from crmops.history import open_history
from crmops.record import Kind, Run, Verdict, utc_now

pytestmark = [pytest.mark.alone, pytest.mark.timeout(400)]

STAGES = ("load", "audit", "backup", "drill", "alert")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "crmops", "demo", "--exit", *arguments]


def only(stage: str) -> list[str]:
    """Skip every stage but one."""
    return [word for each in STAGES if each != stage for word in ("--skip", each)]


def temporary_places() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("crmops-demo-*")}


def naming(folder: Path) -> list[list[str]]:
    """Processes that work in a rehearsal of this folder, by their command lines."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()) and process.pid != os.getpid():
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Afterwards no process and no temporary directory of a rehearsal is there."""
    before = temporary_places()
    yield
    assert temporary_places() <= before
    assert naming(tmp_path) == []


def runs_of(folder: Path, kind: Kind) -> list[Run]:
    state = folder / ".crmops" / "demo"
    history = open_history(f"sqlite:///{state / 'history.db'}", state / "artifacts")
    try:
        return history.find(kind, limit=1000)
    finally:
        history.close()


def test_a_rehearsal_ends_with_go_and_leaves_nothing_but_its_evidence(
    tmp_path: Path, nothing_left: None
) -> None:
    done = subprocess.run(
        command(), cwd=tmp_path, capture_output=True, text=True, timeout=390, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "GO after" in said
    assert re.search(r"console: http://127\.0\.0\.1:\d+/launch/launch", said)
    (gate,) = runs_of(tmp_path, Kind.GATE)
    assert gate.verdict is Verdict.PASS
    decision = tmp_path / ".crmops" / "demo" / "artifacts" / gate.evidence[0].path
    assert len(Decision.model_validate_json(decision.read_text()).rulings) == 14
    demand_every_piece(tmp_path)
    password = re.compile(r"password['\"]?[:=]\s*['\"]?(?!file:)[\w-]{8,}")
    for log in (tmp_path / ".crmops" / "demo").rglob("*"):
        if log.is_file() and log.suffix in (".log", ".json", ".yaml", ".txt"):
            assert not password.search(log.read_text(errors="replace")), log


def demand_every_piece(folder: Path) -> None:
    """Take each stage's evidence away, then break each file of it: the gate must not say go."""
    state = folder / ".crmops" / "demo"
    gate = load_config(state / "crmops.yaml").parse("gates", Gates).root["launch"]
    now = utc_now()

    def word(copy: Path) -> str:
        history = open_history(f"sqlite:///{copy / 'history.db'}", copy / "artifacts")
        try:
            return decide(history, "launch", gate, "refcrm", now).word
        finally:
            history.close()

    needed = sorted({(each.kind, each.subject) for each in gate.requirements})
    for number, (kind, subject) in enumerate(needed):
        copy = folder / f"without-{number}"
        shutil.copytree(state, copy)
        if number == 0:
            assert word(copy) == "go"
        with closing(sqlite3.connect(copy / "history.db")) as database:
            key = (kind.value, subject)
            database.execute("DELETE FROM crmops_runs WHERE kind=? AND subject=?", key)
            database.commit()
        assert word(copy) == "unknown", (kind, subject)
    for kind, subject in needed:
        copy = folder / f"broken-{kind}-{subject}"
        shutil.copytree(state, copy)
        newest = next(run for run in runs_of(folder, kind) if run.subject == subject)
        for evidence in newest.evidence[:1]:
            (copy / "artifacts" / evidence.path).write_text("{}")
            assert word(copy) == "unknown", (kind, subject)


def test_without_its_evidence_nothing_goes(tmp_path: Path, nothing_left: None) -> None:
    skips = [word for each in STAGES for word in ("--skip", each)]
    done = subprocess.run(
        command(*skips), cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "UNKNOWN after" in done.stderr
    (gate,) = runs_of(tmp_path, Kind.GATE)
    for missing in ("no load 'launch'", "no backup 'database'", "no drill 'restore'"):
        assert missing in gate.reason


def test_an_unknown_stage_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--skip", "gate"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no stage 'gate'")
    assert not (tmp_path / ".crmops" / "demo").exists()


@contextmanager
def rehearsing(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=60)


def find(parent: int, wanted: Callable[[list[str]], bool], patience: float = 90) -> psutil.Process:
    """A descendant whose command line fits, as soon as there is one."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        for each in psutil.Process(parent).children(recursive=True):
            try:
                if wanted(each.cmdline()):
                    return each
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.05)
    raise AssertionError("no such process came up")


def is_load_child(words: list[str]) -> bool:
    return any("loadtests.child" in word for word in words)


def is_playbook(words: list[str]) -> bool:
    return any(word.endswith("ansible-playbook") for word in words)


def is_serve(words: list[str]) -> bool:
    return "serve" in words and "crmops" in words


def postgres(state: Path) -> psutil.Process:
    """PostgreSQL of the rehearsal: a process of its own, nobody's child."""
    ready = Path((state / "scratch").read_text()) / "refcrm.json"
    return psutil.Process(json.loads(ready.read_text())["postgres_pid"])


@pytest.mark.parametrize(
    ("stage", "victim", "kind", "killed"),
    [
        ("load", is_load_child, Kind.LOAD, "load"),
        ("backup", is_playbook, Kind.BACKUP, "backup"),
        ("backup", None, Kind.BACKUP, "backup"),
        ("alert", is_serve, Kind.ALERT, "serve"),
    ],
    ids=["load child", "playbook", "PostgreSQL", "scheduler"],
)
def test_what_is_killed_half_way_is_said_and_recorded(
    tmp_path: Path,
    nothing_left: None,
    stage: str,
    victim: Callable[[list[str]], bool] | None,
    kind: Kind,
    killed: str,
) -> None:
    with rehearsing(tmp_path, *only(stage)) as demo:
        state = tmp_path / ".crmops" / "demo"
        deadline = time.monotonic() + 90
        while not (state / "logs" / f"{stage}.log").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        found = find(demo.pid, victim) if victim else postgres(state)
        time.sleep(3)  # half way
        found.kill()
        said, _ = demo.communicate(timeout=200)
    assert demo.returncode in (1, 3, 4), said
    assert "GO after" not in said.replace("NO-GO after", "")
    assert killed in said
    broken = [
        r
        for r in runs_of(tmp_path, kind)
        if r.verdict in (Verdict.ERROR, Verdict.UNKNOWN, Verdict.FAIL)
    ]
    assert broken, said


def test_ctrl_c_stops_everything_at_once(tmp_path: Path, nothing_left: None) -> None:
    with rehearsing(tmp_path, *only("load")) as demo:
        find(demo.pid, is_load_child)
        family = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGINT)
        said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, said
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    (load,) = runs_of(tmp_path, Kind.LOAD)
    assert load.verdict is Verdict.ERROR
