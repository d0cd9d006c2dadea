"""Health, metrics and spans."""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from refcrm.trace import parse_traceparent
from tests.conftest import RefcrmServer
from tests.refcrm.conftest import Serve


def traceparent(sampled: bool) -> tuple[str, str, str]:
    """(header, trace id, span id)."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}", trace_id, span_id


def test_health(refcrm_server: RefcrmServer) -> None:
    reply = httpx.get(f"{refcrm_server.url}/healthz", trust_env=False)
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "database": "ok"}


def test_metrics_parse_and_count(admin: httpx.Client, refcrm_server: RefcrmServer) -> None:
    def requests() -> float:
        reply = httpx.get(f"{refcrm_server.url}/metrics", trust_env=False)
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {one.name: one for one in text_string_to_metric_families(reply.text)}
        assert set(families) >= {"refcrm_http_requests", "refcrm_http_request_duration_seconds"}
        routes = {s.labels["route"] for s in families["refcrm_http_requests"].samples}
        assert all("{" in route or not any(c.isdigit() for c in route[7:]) for route in routes)
        found = [
            sample.value
            for sample in families["refcrm_http_requests"].samples
            if sample.labels == {"method": "GET", "route": "/api/v1/{entity}/{id}", "status": "404"}
        ]
        return found[0] if found else 0.0

    before = requests()
    admin.get("/contacts/999999999")
    assert requests() == before + 1


def test_promtool_accepts_the_metrics(refcrm_server: RefcrmServer) -> None:
    tools = Path(__file__).resolve().parents[2] / ".tools"
    found = next((str(one) for one in tools.rglob("promtool") if os.access(one, os.X_OK)), None)
    text = httpx.get(f"{refcrm_server.url}/metrics", trust_env=False).text
    command = [found or "promtool", "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_sampled_call_goes_on_in_a_span(admin: httpx.Client) -> None:
    header, trace_id, span_id = traceparent(sampled=True)
    admin.get("/deals?limit=1", headers={"traceparent": header}).raise_for_status()
    spans = admin.get(f"/spans?trace_id={trace_id}").json()["spans"]
    assert len(spans) == 1
    span = spans[0]
    assert (span["parent_id"], span["name"]) == (span_id, "GET /api/v1/{entity}")
    assert span["attributes"]["http.response.status_code"] == 200
    assert span["attributes"]["refcrm.action"] == "list"
    assert span["attributes"]["refcrm.database_calls"] == 1
    assert span["seconds"] > span["attributes"]["refcrm.database_seconds"] > 0


def test_an_unsampled_call_is_noted_only_when_it_fails_or_is_slow(
    admin: httpx.Client, refcrm_server: RefcrmServer
) -> None:
    quick, quick_id, _ = traceparent(sampled=False)
    admin.get("/deals?limit=1", headers={"traceparent": quick}).raise_for_status()
    slow, slow_id, _ = traceparent(sampled=False)
    with refcrm_server.faults(latency_seconds=1.05, latency_paths=["/api/v1/deals"]):
        admin.get("/deals?limit=1", headers={"traceparent": slow}).raise_for_status()
    broken, broken_id, _ = traceparent(sampled=False)
    with refcrm_server.faults(error_ratio=1.0):
        assert admin.get("/deals", headers={"traceparent": broken}).status_code == 500
    found = {one["trace_id"]: one for one in admin.get("/spans?limit=1000").json()["spans"]}
    assert quick_id not in found
    assert found[slow_id]["seconds"] >= 1.0
    assert found[slow_id]["sampled"] is False
    assert found[broken_id]["attributes"]["http.response.status_code"] == 500


def test_spans_are_for_administrators(rep: httpx.Client) -> None:
    assert rep.get("/spans").status_code == 403


def test_spans_are_exported_when_asked(
    refcrm_server: RefcrmServer, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{collector.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        header, trace_id, _ = traceparent(sampled=True)
        with serve() as url:
            body = {"username": "admin", "password": refcrm_server.password}
            head = {"traceparent": header}
            httpx.post(f"{url}/api/v1/login", json=body, headers=head, trust_env=False)
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    spans = [
        span
        for raw in received
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert [(span.name, span.trace_id.hex()) for span in spans] == [
        ("POST /api/v1/login", trace_id)
    ]


@given(st.one_of(st.binary(max_size=60), st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-.{16}-0[01]")))
def test_any_traceparent_is_read_or_ignored(header: bytes) -> None:
    context = parse_traceparent(header)
    if context is not None:
        assert context.is_valid
        assert b"%032x-%016x" % (context.trace_id, context.span_id) in header


def test_cut_connections_are_replaced(
    admin: httpx.Client, refcrm_server: RefcrmServer, serve: Serve
) -> None:
    with serve() as url:
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        with psycopg.connect(refcrm_server.ready["admin_database_url"], autocommit=True) as sql:
            sql.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'refcrm'"
            )
        # Both servers lost all their connections. A request that meets a dead one may fail,
        # with a status that says so, and the next one works.
        for server in (url, refcrm_server.url):
            with httpx.Client(base_url=server, trust_env=False) as http:
                codes = [http.get("/healthz").status_code for _ in range(25)]
            assert set(codes) <= {200, 503}
            assert codes[-1] == 200
    assert admin.get("/deals?limit=1").status_code == 200
