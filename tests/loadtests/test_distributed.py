"""One load from several workers, which join over the loopback network's other addresses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from crmops.history import History
from crmops.record import Verdict
from crmops.secret import Secret
from loadtests.settings import Distributed, Instrument, Settings
from tests.conftest import RefcrmServer, TargetFactory

from .conftest import SETTINGS, Loaded
from .test_run import marked, value

SECRET = "planted-secret-of-the-fleet"
ROOT = Path(__file__).resolve().parents[2]
PATIENT = Instrument(loop_lag=5, sent=0, silence=30)
"""The machine may be busy with other things: these tests are about who does what."""


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


class Crew:
    """Workers, each a `crmops load worker` process; all are ended at the end, by their pid."""

    def __init__(self, folder: Path, host: str = "127.0.0.2") -> None:
        self.folder, self.host, self.port = folder, host, free_port(host)
        self.started: list[subprocess.Popen[str]] = []

    def settings(self, workers: int, **changes: Any) -> Settings:
        distributed = Distributed(
            listen=f"{self.host}:{self.port}", workers=workers, secret=Secret(SECRET), wait=120
        )
        updates = {"distributed": distributed, "instrument": PATIENT, **changes}
        return SETTINGS.model_copy(update=updates)

    def start(
        self, *prefix: str, secret: str = SECRET, wait: int = 120, name: str = "journals"
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "crmops", "load", "worker", "--master",
             f"{self.host}:{self.port}", "--wait", str(wait), "--journals",
             str(self.folder / name)],
            cwd=ROOT, env={**os.environ, "CRMOPS_LOAD_SECRET": secret}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.started.append(process)
        return process

    def generators(self, process: subprocess.Popen[str]) -> list[psutil.Process]:
        children = psutil.Process(process.pid).children(recursive=True)
        return [each for each in children if "loadtests.child.worker" in each.cmdline()]

    def ends(self) -> list[tuple[int, str]]:
        """The exit code and the words of each worker."""
        said = [each.communicate(timeout=60) for each in self.started]
        return [
            (each.returncode, words[1]) for each, words in zip(self.started, said, strict=True)
        ]

    def end(self) -> None:
        for each in self.started:
            if each.poll() is None:
                for child in psutil.Process(each.pid).children(recursive=True):
                    child.kill()
                each.kill()
            each.communicate()


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    made = Crew(tmp_path)
    yield made
    made.end()


def test_two_workers_are_one_load(
    crew: Crew, load: Loaded, history: History, target_factory: TargetFactory,
    refcrm_server: RefcrmServer, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    crew.start(), crew.start()
    run = load(target_factory(), settings=crew.settings(2))
    assert run.verdict is Verdict.PASS, run.reason
    assert value(run, "users") == 20
    rss = run.measure("instrument.rss")
    assert rss is not None
    assert rss.observed == 2
    assert value(run, "data.created") > 0
    assert (value(run, "data.lost"), value(run, "data.left")) == (0, 0)
    assert marked(refcrm_server, run.id) == 0
    for code, words in crew.ends():
        assert code == 0, words
        assert "done; the master has everything" in words
    folder = history.artifacts(run.id)
    journals = sorted(path.name for path in folder.glob("*journal.jsonl"))
    assert journals == ["00-1-journal.jsonl", "01-1-journal.jsonl"]
    assert not list((crew.folder / "journals").glob("**/*journal.jsonl"))
    assert "a load worker has joined from" in capsys.readouterr().err
    for path in folder.iterdir():
        text = path.read_text()
        assert SECRET not in text
        assert refcrm_server.password not in text
