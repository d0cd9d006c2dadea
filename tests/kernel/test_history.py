"""The history keeps its promises, in SQLite and in PostgreSQL alike."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from crmops.errors import ConfigError, HistoryError
from crmops.history import History, open_history
from crmops.history.tables import MIGRATIONS
from crmops.record import Kind, Measure, Run, Unit, Verdict, new_run, utc_now

SECOND = timedelta(seconds=1)


def ended(kind: Kind = Kind.PROBE, subject: str = "login", **fields: object) -> Run:
    run = new_run(kind, "crm", subject)
    return run.with_(ended=run.begun + SECOND, verdict=Verdict.PASS, reason="ok", **fields)


def test_what_is_recorded_is_found_newest_first(history: History) -> None:
    first, second = ended(), ended()
    other = ended(Kind.DQ, "contacts")
    for each in (first, second.with_(begun=second.begun + SECOND), other):
        history.record(each.with_(ended=each.begun + SECOND))
    assert [r.id for r in history.find(Kind.PROBE, "crm", "login")] == [second.id, first.id]
    assert history.latest(Kind.DQ, "crm", "contacts").id == other.id  # type: ignore[union-attr]
    assert history.get(first.id) == first
    assert history.get("01ARZ3NDEKTSV4RRFFQ69G5FAV") is None
    assert history.latest(Kind.DRILL, "crm", "restore") is None


def test_an_open_run_is_live_and_its_beats_are_seen(history: History) -> None:
    run = history.begin(new_run(Kind.LOAD, "crm", "launch"))
    history.beat(run.id, [Measure(name="users", value=7, unit=Unit.COUNT, observed=1)])
    (live,) = history.live()
    assert live.run.id == run.id
    assert live.measures[0].value == 7
    assert history.latest(Kind.LOAD, "crm", "launch") is None  # open is not evidence
    history.finish(run.with_(ended=utc_now(), verdict=Verdict.FAIL, reason="slow"))
    assert history.live() == []
    assert history.latest(Kind.LOAD, "crm", "launch").verdict is Verdict.FAIL  # type: ignore[union-attr]


def test_a_run_ends_once(history: History) -> None:
    run = history.begin(new_run(Kind.LOAD, "crm", "launch"))
    done = run.with_(ended=utc_now(), verdict=Verdict.PASS)
    history.finish(done)
    with pytest.raises(HistoryError, match="is not open"):
        history.finish(done)
    (total,) = history.totals()
    assert total.runs == 1


def test_totals_and_histograms_survive_pruning(history: History) -> None:
    old = utc_now() - timedelta(days=9)
    for number in range(3):
        begun = old + number * SECOND
        seconds = Measure(name="duration", value=0.3, unit=Unit.SECONDS, observed=1)
        run = ended().with_(begun=begun, ended=begun + SECOND, measures=(seconds,))
        history.record(run)
        history.attach(run.id, "log.txt", "x")
    before = (history.totals(), history.histograms())
    assert history.prune(utc_now()) == 2  # the newest stays
    assert len(history.find()) == 1
    assert len(list(history.files.root.iterdir())) == 1
    assert (history.totals(), history.histograms()) == before
    (total,) = history.totals()
    assert (total.runs, total.seconds) == (3, 3.0)
    (histogram,) = history.histograms()
    assert histogram.counts[0.5] == sum(histogram.counts.values()) == 3
    assert histogram.seconds == pytest.approx(0.9)


def test_a_claim_is_held_by_one(history: History) -> None:
    minute = timedelta(minutes=1)
    host = f"elsewhere/{os.getpid()}/1.0"
    assert history.claim("probe/login", minute)
    assert history.claim("probe/login", minute)  # renewed
    assert not history.claim("probe/login", minute, owner=host)
    history.release("probe/login")
    assert history.claim("probe/login", timedelta(seconds=-1), owner=host)
    assert history.claim("probe/login", minute)  # the other's has run out


def test_many_claimants_and_one_winner(history_url: str, tmp_path: Path) -> None:
    opened = [open_history(history_url, tmp_path / "artifacts") for _ in range(6)]
    won: list[int] = []
    gate = threading.Barrier(len(opened))

    def attempt(number: int) -> None:
        gate.wait()
        if opened[number].claim("job", timedelta(minutes=1), owner=f"h{number}/1/1.0"):
            won.append(number)

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(len(opened))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in opened:
        each.close()
    assert len(won) == 1


KILLED = """
import sys, time
from pathlib import Path
from crmops.history import open_history
from crmops.record import Kind, new_run, Verdict, utc_now
history = open_history(sys.argv[1], Path(sys.argv[2]))
history.begin(new_run(Kind.DRILL, "crm", "restore"))
print("open", flush=True)
while True:
    run = new_run(Kind.PROBE, "crm", "login")
    history.record(run.with_(ended=utc_now(), verdict=Verdict.PASS))
"""


def test_a_killed_writer_leaves_no_torn_record_and_an_error(
    history_url: str, history: History, tmp_path: Path
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, history_url, str(tmp_path / "artifacts")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        deadline = time.monotonic() + 30
        while len(history.find(Kind.PROBE)) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert history.reap() == []  # it lives
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    (reaped,) = history.reap()
    assert (reaped.kind, reaped.verdict) == (Kind.DRILL, Verdict.ERROR)
    assert reaped.reason == "killed before it could end"
    assert history.reap() == []
    probes = history.find(Kind.PROBE, limit=100_000)
    counted = sum(t.runs for t in history.totals() if t.kind is Kind.PROBE)
    assert len(probes) == counted >= 5


def test_a_newer_schema_is_refused_and_an_older_one_migrated(
    history_url: str, tmp_path: Path
) -> None:
    open_history(history_url, tmp_path / "a").close()
    ran: list[object] = []
    more = (*MIGRATIONS, ran.append)
    open_history(history_url, tmp_path / "a", migrations=more).close()
    open_history(history_url, tmp_path / "a", migrations=more).close()
    assert len(ran) == 1
    with pytest.raises(HistoryError, match="has schema 2, this crmops knows up to 1"):
        open_history(history_url, tmp_path / "a")


def test_artifacts_are_whole_hashed_and_stay_inside(lite: History) -> None:
    run = lite.record(ended())
    evidence = lite.attach(run.id, "report.json", "{}")
    assert evidence.sha256 == hashlib.sha256(b"{}").hexdigest()
    assert (evidence.path, evidence.bytes) == (f"{run.id}/report.json", 2)
    assert lite.files.intact(evidence)
    lite.files.path(evidence).write_text("[]")
    assert not lite.files.intact(evidence)
    for name in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(ValueError, match="no plain file name"):
            lite.attach(run.id, name, "x")
    outside = evidence.model_copy(update={"path": "../../etc/passwd"})
    with pytest.raises(HistoryError, match="leads outside"):
        lite.files.path(outside)


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense"])
def test_a_bad_address_is_a_clear_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_history(url, tmp_path)
    assert "sqlite:///path" in caught.value.hint


def test_a_history_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(HistoryError, match="file is not a database"):
        open_history(f"sqlite:///{path}", tmp_path / "a")


def test_an_unreachable_server_is_a_clear_error(tmp_path: Path) -> None:
    url = f"postgresql://nobody@/none?host={tmp_path}&port=1&connect_timeout=2"
    with pytest.raises(HistoryError, match="the history cannot be used"):
        open_history(url, tmp_path / "a")
