"""Whatever happens to an execution, it leaves a record."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from crmops import execute
from crmops.errors import CannotRun
from crmops.execute import executing
from crmops.history import History
from crmops.record import Kind, Unit, Verdict, utc_now


def test_a_concluded_body_is_stored_with_all_it_said(lite: History) -> None:
    with executing(lite, Kind.DQ, "crm", "contacts", config_digest="d") as execution:
        execution.measure("score", 0.97, Unit.RATIO, 100)
        execution.finding("3 rows lack an owner")
        execution.attach("result.json", "{}")
        execution.conclude(Verdict.PASS, "fine")
    run = lite.get(execution.id)
    assert run is not None
    assert (run.verdict, run.reason, run.config_digest) == (Verdict.PASS, "fine", "d")
    assert run.measure("score") is not None
    assert run.findings[0].title == "3 rows lack an owner"
    assert lite.files.intact(run.evidence[0])
    assert run.seconds is not None and run.seconds >= 0
    assert {"crmops", "python"} <= set(run.tool_versions)


def test_a_body_without_a_verdict_is_an_error(lite: History) -> None:
    with executing(lite, Kind.DQ, "crm", "contacts") as execution:
        pass
    run = lite.get(execution.id)
    assert run is not None
    assert (run.verdict, run.reason) == (Verdict.ERROR, "ended without a verdict")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CannotRun("no backup yet"), "no backup yet"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(3), "interrupted"),
        (ZeroDivisionError("personal data"), "defect: ZeroDivisionError"),
    ],
)
def test_an_exception_ends_it_as_error_and_goes_on(
    lite: History, error: BaseException, reason: str
) -> None:
    with pytest.raises(type(error)), executing(lite, Kind.LOAD, "crm", "launch") as execution:
        execution.conclude(Verdict.PASS, "too early")
        raise error
    run = lite.get(execution.id)
    assert run is not None
    assert (run.verdict, run.reason) == (Verdict.ERROR, reason)


def test_a_wall_clock_that_stepped_is_a_finding_and_the_end_stays_after_the_begin(
    lite: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    with executing(lite, Kind.LOAD, "crm", "launch") as execution:
        monkeypatch.setattr(execute, "utc_now", lambda: utc_now() - timedelta(hours=1))
        execution.conclude(Verdict.PASS, "ok")
    run = lite.get(execution.id)
    assert run is not None and run.ended is not None
    assert run.ended >= run.begun
    assert [f.title for f in run.findings] == ["the clock stepped"]


TERMINATED = """
import sys, time
from pathlib import Path
from crmops.execute import executing
from crmops.history import open_history
from crmops.record import Kind
history = open_history(sys.argv[1], Path(sys.argv[2]))
with executing(history, Kind.BACKUP, "crm", "database"):
    print("open", flush=True)
    time.sleep(60)
"""


def test_sigterm_ends_it_as_interrupted(lite: History, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lite.sqlite'}"
    child = subprocess.Popen(
        [sys.executable, "-c", TERMINATED, url, str(tmp_path / "artifacts")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=30)
    assert child.returncode != 0
    (run,) = lite.find()
    assert (run.verdict, run.reason) == (Verdict.ERROR, "interrupted")
