"""A Prometheus that is not well costs a finding, never a run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from crmops.execute import executing
from crmops.history import History
from crmops.record import Finding, Kind, Verdict
from crmops.secret import Secret
from loadtests import prometheus
from loadtests.prometheus import Snapshot, snapshot_findings, take_snapshot
from loadtests.settings import FIGURES, Prometheus

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NONE = dict.fromkeys(FIGURES, "")
Respond = Callable[[dict[str, str], BaseHTTPRequestHandler], None]


@contextmanager
def answering(respond: Respond) -> Iterator[str]:
    """A server that says to a query what a test wants; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            form = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
            respond(form, self)

        def log_message(self, *_words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def say(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> bytes:
    result = [{"metric": labels, "values": values} for labels, values in series]
    data = {"resultType": "matrix", "result": result}
    return json.dumps({"status": "success", "data": data}).encode()


def ask(url: str, seconds: float = 10, **more: Any) -> Snapshot:
    settings = Prometheus.model_validate({"url": url, "queries": {**NONE, "one": "up"}, **more})
    found = take_snapshot(settings, NOW, seconds)
    assert found is not None
    return found


def test_values_stand_where_they_belong() -> None:
    asked: list[dict[str, str]] = []
    begun = NOW.timestamp() - 10

    def respond(form: dict[str, str], handler: BaseHTTPRequestHandler) -> None:
        asked.append({**form, "authorization": handler.headers["authorization"]})
        low = ({"__name__": "up", "job": "low"}, [(begun, "1"), (begun + 2, "NaN")])
        high = ({"job": "high"}, [(begun + 9, "7.5"), (begun + 99, "3"), (begun + 1, "+Inf")])
        say(handler, matrix(low, high))

    with answering(respond) as url:
        login: dict[str, Any] = {"username": "me", "password": Secret("planted")}
        found = ask(url, queries={**NONE, "one": "rate(x[$window])"}, window=15, **login)
    (figure,) = found.figures
    nothing: list[float | None] = [None] * 11
    assert figure.series == [
        {"labels": {"job": "high"}, "values": [*nothing[:9], 7.5, None]},
        {"labels": {"job": "low"}, "values": [1.0, *nothing[1:]]},
    ]
    assert (found.step, figure.problem, figure.left_off) == (1, "", 0)
    assert asked[0]["query"] == figure.query == "rate(x[15s])"
    assert float(asked[0]["end"]) - float(asked[0]["start"]) == 10
    assert asked[0]["authorization"].startswith("Basic ")
    assert "planted" not in json.dumps(found.document())


def test_a_long_run_and_many_series_are_bounded() -> None:
    many = [({"at": str(number)}, [(NOW.timestamp(), str(number))]) for number in range(40)]
    with answering(lambda _form, handler: say(handler, matrix(*many))) as url:
        found = ask(url, seconds=3600)
    (figure,) = found.figures
    assert found.step == 12
    assert [each["labels"]["at"] for each in figure.series] == [str(39 - n) for n in range(12)]
    assert figure.left_off == 28
    assert {len(each["values"]) for each in figure.series} == {301}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"error":"parse error"}', 400, 'status 400: {"error":"parse error"}'),
        (b"<html>", 200, "the answer is not one of Prometheus's API"),
        (b'{"status":"success","data":{"result":[{"metric":3}]}}', 200, "the answer is not one"),
        (b"moved", 302, "status 302: moved"),
        (b"[" * 9_000_000, 200, "more than 8 MiB"),
    ],
)
def test_what_is_no_answer_is_said(body: bytes, status: int, said: str) -> None:
    with answering(lambda _form, handler: say(handler, body, status)) as url:
        (figure,) = ask(url).figures
    assert figure.problem.startswith(said)
    assert figure.series == []


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def wait() -> None:
        over.wait(30)

    try:
        with answering(lambda _form, _handler: wait()) as url:
            monkeypatch.setattr(prometheus, "PATIENCE", 0.5)
            queries = {**NONE, "one": "up", "two": "up"}
            began = time.monotonic()
            one, two = ask(url, queries=queries, timeout=0.7).figures
            assert time.monotonic() - began < 20
            over.set()
    finally:
        over.set()
    assert one.problem.startswith("ReadTimeout")
    assert two.problem == "not asked: the others took 0.5 s"


def findings(history: History, found: Snapshot | None, settings: Prometheus) -> list[Finding]:
    with executing(history, Kind.LOAD, "crm", "small") as execution:
        snapshot_findings(execution, found, settings)
        execution.conclude(Verdict.PASS, "fine")
    return list(execution.run.findings)


def test_findings_name_what_could_not_be_had(history: History) -> None:
    with answering(lambda _form, handler: say(handler, matrix())) as url:
        settings = Prometheus(url=url, queries={"mine": "up"})
        found = take_snapshot(settings, NOW, 5)
    said = [(each.title, each.detail, each.severity) for each in findings(history, found, settings)]
    assert said == [("Prometheus has no series for 'mine'", "up", "info")]
    gone = take_snapshot(settings, NOW, 5)  # nobody listens there any longer
    (whole,) = findings(history, gone, settings)
    assert whole.title == "Prometheus gave no figures"
    assert whole.detail.startswith("ConnectError: ")
    assert (whole.severity, whole.subject) == ("warning", "prometheus")
    assert whole.suggestion.startswith("check load.prometheus.url")
    assert take_snapshot(Prometheus(), NOW, 5) is None
    assert findings(history, None, Prometheus()) == []
