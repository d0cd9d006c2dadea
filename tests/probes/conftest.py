"""A history, a server that answers as it is told to, and a configuration for a CRM."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crmops.config import Config, load_config
from crmops.history import History, open_history


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")
    yield opened
    opened.close()


@pytest.fixture
def throttling() -> Iterator[str]:
    """The address of a CRM that is too busy for everybody."""

    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.dumps({"error": {"code": "throttled", "message": "later"}}).encode()
            self.send_response(429)
            self.send_header("retry-after", "7")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def hanging() -> Iterator[str]:
    """The address of something that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    return Configured(tmp_path)


class Configured:
    """Writes configurations with one target, ``crm``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, url: str, probes: str, password: str = "wrong") -> Config:
        (self.folder / "password").write_text(password)
        (self.folder / "password").chmod(0o600)
        path = self.folder / "crmops.yaml"
        path.write_text(
            "state: .crmops\n"
            "targets:\n"
            f"  crm: {{connector: refcrm, url: '{url}', username: admin,"
            " password: 'file:password', timeout: 3}\n"
            f"{probes}\n"
        )
        return load_config(path, environ={})
