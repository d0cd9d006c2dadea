"""The rehearsal of an alert: its verdicts, and that the fault is ended whatever happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from alerts.rehearse import rehearse
from alerts.settings import Hook, Rehearsal
from crmops.errors import CannotRun
from crmops.firing import firing
from crmops.history import History
from crmops.record import Finding, Kind, Measure, Run, Unit, Verdict, new_run, utc_now


class Crm:
    """Something with a fault that can be begun and ended; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status: dict[str, int] = {}
        self.began: Callable[[], object] = lambda: None
        self.ended: Callable[[], object] = lambda: None
        self.url = ""

    def answer(self, method: str) -> int:
        self.asked.append(method)
        then = self.began if method == "PUT" else self.ended
        threading.Timer(0.3, then).start()
        return self.status.get(method, 204)


@pytest.fixture
def crm() -> Iterator[Crm]:
    made = Crm()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(made.answer(self.command))
            self.send_header("content-length", "0")
            self.end_headers()

        do_PUT = do_DELETE = _any

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made.url = f"http://user:s3cret@127.0.0.1:{server.server_port}/fault?key=s3cret"
        yield made
        server.shutdown()
        thread.join()


def heard(history: History, *, fires: bool, labels: str = "a=1") -> Run:
    """What the receiver stores of a change."""
    run = new_run(
        Kind.ALERT,
        "crm",
        "CrmProbeSlow",
        measures=(Measure(name="firing", value=float(fires), unit=Unit.COUNT, observed=1),),
        findings=(Finding(title="slow", detail=labels),),
    )
    verdict = Verdict.FAIL if fires else Verdict.PASS
    return history.record(run.with_(ended=utc_now(), verdict=verdict, reason="so it is"))


def rehearsal(crm: Crm, **changes: float) -> Rehearsal:
    wanted = {"hold": 0.6, "raise_within": 2.0, "clear_within": 2.0, **changes}
    return Rehearsal(
        alert="CrmProbeSlow",
        begin=Hook(method="PUT", url=crm.url, body={"latency": 1}),
        end=Hook(method="DELETE", url=crm.url),
        **wanted,
    )


def test_an_alert_that_comes_and_goes_passes(crm: Crm, history: History) -> None:
    crm.began = lambda: heard(history, fires=True)
    crm.ended = lambda: heard(history, fires=False)
    told: list[str] = []
    run = rehearse(rehearsal(crm), history, "crm", config_digest="d", say=told.append)
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 2 objectives met")
    raised, cleared = run.measure("raised_after"), run.measure("cleared_after")
    assert raised is not None and raised.value is not None and 0 < raised.value < 2
    assert cleared is not None and cleared.value is not None and 0 < cleared.value < 2
    assert crm.asked == ["PUT", "DELETE"]
    assert len(told) == 3
    assert firing(history) == []


def test_it_clears_when_none_of_its_label_sets_fires(crm: Crm, history: History) -> None:
    def began() -> None:
        heard(history, fires=True)
        heard(history, fires=True, labels="a=2")

    def ended() -> None:
        heard(history, fires=False)
        time.sleep(0.6)
        heard(history, fires=False, labels="a=2")

    crm.began, crm.ended = began, ended
    run = rehearse(rehearsal(crm), history, "crm")
    cleared = run.measure("cleared_after")
    assert run.verdict is Verdict.PASS
    assert cleared is not None and cleared.value is not None and cleared.value > 0.6


def test_an_alert_that_never_comes_fails(crm: Crm, history: History) -> None:
    run = rehearse(rehearsal(crm, raise_within=0.5), history, "crm")
    assert (run.verdict, run.reason) == (Verdict.FAIL, "CrmProbeSlow was never raised")
    assert [each.severity for each in run.findings] == ["critical"]
    assert crm.asked == ["PUT", "DELETE"]


def test_an_alert_that_never_clears_fails(crm: Crm, history: History) -> None:
    crm.began = lambda: heard(history, fires=True)
    run = rehearse(rehearsal(crm, clear_within=0.4), history, "crm")
    assert (run.verdict, run.reason) == (Verdict.FAIL, "CrmProbeSlow was never cleared")


def test_an_alert_that_comes_too_late_fails(crm: Crm, history: History) -> None:
    crm.began = lambda: heard(history, fires=True)
    crm.ended = lambda: heard(history, fires=False)
    run = rehearse(rehearsal(crm, raise_within=0.01), history, "crm")
    assert run.verdict is Verdict.FAIL
    assert run.reason.startswith("raised_after is ")
    assert run.reason.endswith(", not <= 0.01")


def test_an_alert_that_goes_while_the_fault_lasts_fails(crm: Crm, history: History) -> None:
    def began() -> None:
        heard(history, fires=True)
        time.sleep(0.3)
        heard(history, fires=False)

    crm.began = began
    run = rehearse(rehearsal(crm, hold=1.5), history, "crm")
    assert (run.verdict, run.reason) == (
        Verdict.FAIL,
        "CrmProbeSlow cleared while the fault went on",
    )


def test_what_fires_already_proves_nothing(crm: Crm, history: History) -> None:
    heard(history, fires=True)
    with pytest.raises(CannotRun, match="CrmProbeSlow is firing already"):
        rehearse(rehearsal(crm), history, "crm")
    run = history.latest(Kind.ALERT, "crm", "rehearsal")
    assert run is not None
    assert run.verdict is Verdict.ERROR
    assert crm.asked == []


def test_a_begin_that_fails_is_ended_all_the_same(crm: Crm, history: History) -> None:
    crm.status["PUT"] = 500
    with pytest.raises(CannotRun) as failed:
        rehearse(rehearsal(crm), history, "crm")
    host = crm.url.rpartition("@")[2].partition("/")[0]
    assert str(failed.value) == f"the hook PUT http://{host}/fault failed: it answered 500"
    assert crm.asked == ["PUT", "DELETE"]
    run = history.latest(Kind.ALERT, "crm", "rehearsal")
    assert run is not None
    assert (run.verdict, run.reason) == (Verdict.ERROR, str(failed.value))


def test_an_end_that_fails_is_tried_again_and_then_told(crm: Crm, history: History) -> None:
    crm.began = lambda: heard(history, fires=True)
    crm.status["DELETE"] = 503
    with pytest.raises(CannotRun, match=r"the hook DELETE .* failed: it answered 503"):
        rehearse(rehearsal(crm), history, "crm")
    assert crm.asked == ["PUT", "DELETE", "DELETE", "DELETE"]


def test_an_interruption_ends_the_fault(crm: Crm, history: History) -> None:
    def interrupted(_text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearse(rehearsal(crm), history, "crm", say=interrupted)
    assert crm.asked == ["PUT", "DELETE"]
    run = history.latest(Kind.ALERT, "crm", "rehearsal")
    assert run is not None
    assert (run.verdict, run.reason) == (Verdict.ERROR, "interrupted")


def test_a_clock_that_goes_back_raises_nothing_false(crm: Crm, history: History) -> None:
    """An old change of the same alert is no answer to the new fault."""
    old = heard(history, fires=True)
    heard(history, fires=False)
    assert old.ended is not None and old.ended < utc_now() + timedelta(seconds=1)
    run = rehearse(rehearsal(crm, raise_within=0.3), history, "crm")
    assert run.reason == "CrmProbeSlow was never raised"
