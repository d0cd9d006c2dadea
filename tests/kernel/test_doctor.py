"""The doctor, on real ports, files, programs and a real HTTP server."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crmops import doctor
from crmops.cli import run
from crmops.cli_support import Context
from crmops.doctor import Check, examine


@contextmanager
def crm(skew: timedelta = timedelta(0), status: int = 200) -> Iterator[str]:
    """A CRM whose clock is off by ``skew``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + skew, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    worker = threading.Thread(target=server.serve_forever)
    worker.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        worker.join()


def configured(place: Path, url: str) -> Context:
    path = place / "crmops.yaml"
    path.write_text(f"targets:\n  crm:\n    connector: refcrm\n    url: {url}\n")
    return Context(path)


def named(checks: list[Check], name: str) -> Check:
    return next(each for each in checks if each.name == name)


def test_a_sound_machine_and_target(tmp_path: Path) -> None:
    with crm() as url:
        ctx = configured(tmp_path, url)
        checks = examine(ctx)
        ctx.close()
    by_name = {each.name: each for each in checks}
    assert by_name["target crm"] == Check("target crm", "ok", f"{url} answers (200)")
    assert by_name["clock of target crm"].state == "ok"
    assert by_name["history"].detail == "sqlite, writable"
    assert by_name["configuration"].detail == str(tmp_path / "crmops.yaml")
    wanted = {"python", "open files", "disk", "clock", "interpreter for Ansible", "PostgreSQL"}
    assert wanted <= set(by_name)
    assert not [each for each in checks if each.state == "error"]
    assert all(each.fix for each in checks if each.state != "ok")


@pytest.mark.parametrize(
    ("skew", "state"),
    [
        (timedelta(seconds=-12), "warn"),
        (timedelta(seconds=12), "warn"),
        (timedelta(hours=1), "fail"),
    ],
)
def test_a_clock_that_is_off(tmp_path: Path, skew: timedelta, state: str) -> None:
    with crm(skew) as url:
        ctx = configured(tmp_path, url)
        found = named(examine(ctx), "clock of target crm")
        ctx.close()
    assert (found.state, "NTP" in found.fix) == (state, True)


def test_a_target_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        configured(tmp_path, url)
        monkeypatch.chdir(tmp_path)
        assert run(["doctor", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    target = next(each for each in said["checks"] if each["name"] == "target crm")
    assert target["state"] == "fail"
    assert target["detail"].startswith(f"{url} does not answer: ")
    assert target["fix"].startswith("Is it running?")
    assert (said["schema"], said["state"]) == (1, "fail")


def test_a_ca_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    ctx = configured(tmp_path, "https://127.0.0.1:1\n    ca_file: gone.pem")
    found = named(examine(ctx), "target crm")
    assert (found.state, "gone.pem' of target 'crm' cannot be used: No such" in found.detail) == (
        "fail",
        True,
    )
    ctx.close()


def test_offline_talks_to_nobody(tmp_path: Path) -> None:
    ctx = configured(tmp_path, "http://127.0.0.1:1")
    assert not [each for each in examine(ctx, offline=True) if each.name.startswith("target")]
    ctx.close()


def test_without_a_configuration_it_says_how_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checks = examine(Context(environ={}))
    found = named(checks, "configuration")
    assert (found.state, "crmops init" in found.fix) == ("warn", True)
    assert {"history", "target crm"}.isdisjoint(each.name for each in checks)


def test_a_broken_configuration_fails(tmp_path: Path) -> None:
    ctx = configured(tmp_path, "crm.example.com")
    found = named(examine(ctx), "configuration")
    assert (found.state, "crmops.yaml:4: targets.crm.url" in found.detail) == ("fail", True)


def test_a_history_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the directory should be stops root as well."""
    ctx = configured(tmp_path, "http://127.0.0.1:1")
    (tmp_path / ".crmops").write_text("in the way")
    found = named(examine(ctx, offline=True), "history")
    assert (found.state, bool(found.fix)) == ("fail", True)


def test_a_port_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor, "PORTS", {port: "somebody"})
        found = named(examine(Context(environ={})), f"port {port}")
    assert (found.state, found.detail) == ("warn", "for somebody: address already in use")


def test_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        found = named(examine(Context(environ={})), "open files")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (found.state, "ulimit -n" in found.fix) == ("fail", True)


def test_programs_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMOPS_PROMETHEUS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = examine(Context(environ={}))
    assert named(checks, "prometheus").state == "warn"
    assert "CRMOPS_PROMETHEUS" in named(checks, "prometheus").fix


def test_a_check_that_breaks_is_said_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PATH")
    monkeypatch.setattr(doctor, "PORTS", {70000: "nobody"})
    assert run(["doctor", "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    states = {each["name"]: each["state"] for each in said["checks"]}
    assert (said["state"], states["ports"], states["disk"] in ("ok", "warn")) == (
        "error", "error", True,
    )  # fmt: skip
    assert os.environ.get("PATH") is None
