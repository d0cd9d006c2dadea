"""The scheduler: on time, alone, and killed half way."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crmops.cli import run as crmops
from crmops.errors import ConfigError, HistoryError
from crmops.history import History, open_history
from crmops.record import Kind, Verdict
from probes.scheduler import Scheduler

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "probes"
WALKS = """
import sys, time
from pathlib import Path
from crmops.config import load_config
from crmops.history import open_history
from probes.scheduler import Scheduler
config = load_config(Path(sys.argv[1]))
scheduler = Scheduler(config, open_history(config.history_url, config.artifacts_dir))
print("begun", flush=True)
scheduler.start()
sys.stdin.read()
scheduler.stop()
"""


def opened(config: Any) -> History:
    return open_history(config.history_url, config.artifacts_dir)


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def begin(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WALKS, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.kill()
    child.communicate()


def test_probes_are_walked_in_turn(configured: Any, refcrm_server: Any) -> None:
    config = configured(
        refcrm_server.url,
        "probes: {probes: [{journey: login, every: 500ms}, {journey: search, every: 500ms}]}",
        refcrm_server.password,
    )
    history = opened(config)
    scheduler = Scheduler(config, history)
    assert [(t.name, p.journey) for t, p in scheduler.probes] == [
        ("crm", "login"),
        ("crm", "search"),
    ]
    scheduler.start()
    until(lambda: all(len(history.find(subject=s)) >= 3 for s in ("login", "search")))
    scheduler.stop()
    count = len(history.find())
    assert history.live() == []
    assert {each.verdict for each in history.find()} <= {Verdict.PASS, Verdict.FAIL}
    assert {each.config_digest for each in history.find()} == {config.digest}
    time.sleep(0.7)
    assert len(history.find()) == count
    history.close()


def test_two_schedulers_never_double(configured: Any, refcrm_server: Any) -> None:
    config = configured(
        refcrm_server.url,
        "probes: {probes: [{journey: login, every: 500ms}]}",
        refcrm_server.password,
    )
    history = opened(config)
    children = [begin(config.path) for _ in range(2)]
    try:
        until(lambda: len(history.find(finished=True)) >= 6)
    finally:
        for each in children:
            end(each)
    begun = sorted(each.begun for each in history.find())
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(begun)]
    # two at work would begin two walks each half second; a late turn is not made up for
    assert sum(gaps) / len(gaps) > 0.45
    history.close()


def test_a_second_scheduler_takes_over_from_a_killed_one(
    configured: Any, refcrm_server: Any
) -> None:
    config = configured(
        refcrm_server.url,
        "probes: {probes: [{journey: login, every: 500ms}]}",
        refcrm_server.password,
    )
    history = opened(config)
    first = begin(config.path)
    try:
        until(lambda: len(history.find(finished=True)) >= 1)
        second = begin(config.path)
        try:
            first.kill()
            first.wait()
            history.reap()
            count = len(history.find(finished=True))
            until(lambda: len(history.find(finished=True)) >= count + 2)
        finally:
            end(second)
    finally:
        end(first)
    history.close()


def test_kill_9_leaves_an_error(configured: Any, hanging: str) -> None:
    config = configured(hanging, "probes: {probes: [{journey: login, every: 1s}]}")
    history = opened(config)
    child = begin(config.path)
    try:
        until(lambda: len(history.live()) == 1)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    finally:
        end(child)
    reaped = history.reap()
    assert [(each.kind, each.subject, each.verdict) for each in reaped] == [
        (Kind.PROBE, "login", Verdict.ERROR)
    ]
    assert reaped[0].reason == "killed before it could end"
    assert history.live() == []
    assert Counter(each.verdict for each in history.totals()) == {Verdict.ERROR: 1}
    history.close()


def test_a_claim_of_a_living_stranger_is_respected(configured: Any, refcrm_server: Any) -> None:
    config = configured(
        refcrm_server.url,
        "probes: {probes: [{journey: login, every: 500ms}]}",
        refcrm_server.password,
    )
    history = opened(config)
    assert history.claim("probe/crm/login", timedelta(hours=1), owner="elsewhere/1/1.0")
    scheduler = Scheduler(config, history)
    scheduler.start()
    time.sleep(1.2)
    scheduler.stop()
    assert history.find() == []
    history.close()


def test_a_broken_history_ends_no_scheduler(
    configured: Any, refcrm_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(
        refcrm_server.url,
        "probes: {probes: [{journey: login, every: 500ms}]}",
        refcrm_server.password,
    )
    history = opened(config)
    scheduler = Scheduler(config, history)
    history.close()
    Path(config.state_dir / "history.db").write_bytes(b"no database " * 1000)
    with pytest.raises(HistoryError):
        history.find()
    scheduler.start()
    until(lambda: "probe login on crm: the history cannot be used" in caplog.text)
    scheduler.stop()
    assert "the claim of probe login was not given back" in caplog.text
    history.close()


KINDS = sorted(each.stem for each in BAD.glob("*.yaml"))


def test_there_are_bad_files() -> None:
    assert len(KINDS) >= 6
    assert {each.stem for each in BAD.glob("*.txt")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_section_is_named_to_the_line(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``crmops serve`` does not start with it."""
    monkeypatch.setenv("CRM_PASSWORD", "tr0ub4dor")
    monkeypatch.chdir(tmp_path)
    Path("crmops.yaml").write_text((BAD / f"{kind}.yaml").read_text())
    assert crmops(["--quiet", "serve", "--port", "0"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", (BAD / f"{kind}.txt").read_text())
    assert "tr0ub4dor" not in said.err


def test_a_bad_section_is_an_error_to_callers_too(configured: Any) -> None:
    config = configured("http://127.0.0.1:1", "probes: {probes: [{journey: logon}]}")
    history = opened(config)
    with pytest.raises(ConfigError, match=r"crmops.yaml:4: there is no journey 'logon'"):
        Scheduler(config, history)
    assert json.loads(json.dumps([each.dump() for each in history.find()])) == []
    history.close()
