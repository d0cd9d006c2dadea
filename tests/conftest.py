"""One real reference CRM for the whole session, and targets that point at it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from crmops.secret import Secret
from crmops.target import Account, LoadPermission, Target

# Nothing here depends on how fast a busy machine is.
# What judges a change must say the same of it twice: examples follow from the test alone.  Look for
# others with `make test ARGS="--hypothesis-profile=explore tests/..."`.
calm = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True, database=None
)
settings.register_profile("explore", calm)
settings.register_profile("crmops", calm, derandomize=True)
settings.load_profile("crmops")

# A worker of a parallel run is told how wide the terminal is; what is tested writes to none.
os.environ.pop("COLUMNS", None)

# Started in the background by a shell, a suite is told to ignore Ctrl-C, by nohup to ignore a
# hang-up, and its children with it; some tests send them both.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

_START_SECONDS = 90
_STOP_SECONDS = 60

TargetFactory = Callable[..., Target]


@dataclass
class RefcrmServer:
    """A running reference CRM with 300 contacts and 30 users; faults may be set on it.

    ``ready`` is its ready file; ``users`` are the rows of its users file (username, role, team,
    region); everybody has the one ``password``.  ``database_url`` is the owner's.
    """

    url: str
    ready: dict[str, Any]
    password: str
    admin_token: str
    users: list[dict[str, str]] = field(default_factory=list)

    @property
    def database_url(self) -> str:
        return str(self.ready["database_url"])

    def username(self, role: str = "rep", index: int = 0) -> str:
        """The login name of one of the people who have a role."""
        return [one["username"] for one in self.users if one["role"] == role][index]

    def token(self, username: str) -> str:
        """A fresh session of a person."""
        login = {"username": username, "password": self.password}
        answer = httpx.post(f"{self.url}/api/v1/login", json=login, trust_env=False)
        answer.raise_for_status()
        return str(answer.json()["token"])

    @contextmanager
    def faults(self, **knobs: object) -> Iterator[None]:
        """Turn fault knobs for a while (latency_seconds=0.5, lost_write_ratio=1.0 ...)."""
        signed = {"authorization": f"Bearer {self.admin_token}"}
        with httpx.Client(base_url=self.url, headers=signed, trust_env=False) as http:
            http.put("/_faults", json=knobs).raise_for_status()
            try:
                yield
            finally:
                http.delete("/_faults").raise_for_status()


@pytest.fixture(scope="session")
def refcrm_server() -> Iterator[RefcrmServer]:
    """The reference CRM on a free port, its PostgreSQL with it; stopped by pid at the end.

    Its directory lies directly below the system's temporary directory: started by root, both
    servers run as another user, who must be able to reach it.
    """
    directory = Path(tempfile.mkdtemp(prefix="crmops-refcrm-"))
    command = [sys.executable, "-m", "refcrm", "up", "--dir", str(directory), "--port", "0"]
    command += ["--contacts", "300", "--users", "30", "--faults"]
    command += ["--ready-file", str(directory / "ready.json")]
    try:
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            try:
                yield _server(_wait_for(directory / "ready.json", process, log))
            finally:
                _stop(process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(path: Path, process: subprocess.Popen[bytes], log: IO[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + _START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise RuntimeError(f"refcrm did not start:\n{log.read().decode(errors='replace')}")
        time.sleep(0.05)
    ready: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return ready


def _server(ready: dict[str, Any]) -> RefcrmServer:
    password = Path(ready["password_file"]).read_text(encoding="utf-8").strip()
    with Path(ready["users_file"]).open(encoding="utf-8", newline="") as lines:
        users = list(csv.DictReader(lines))
    server = RefcrmServer(ready["url"], ready, password, "", users)
    server.admin_token = server.token("admin")
    return server


@pytest.fixture
def target_factory(refcrm_server: RefcrmServer) -> TargetFactory:
    """Makes targets of the reference CRM: ``target_factory("rest", timeout=2)``.

    ``connector`` is refcrm or rest; other arguments replace fields of the Target.
    """

    def make(connector: str = "refcrm", **changes: Any) -> Target:
        fields: dict[str, Any] = {
            "name": "crm",
            "connector": connector,
            "url": refcrm_server.url,
            "username": "admin",
            "password": Secret(refcrm_server.password),
            "options": {"profile": "refcrm"} if connector == "rest" else {},
            "accounts": tuple(
                Account(
                    username=one["username"],
                    password=Secret(refcrm_server.password),
                    role=one["role"],
                )
                for one in refcrm_server.users
            ),
            "load": LoadPermission(allowed=True, max_users=50, max_rate=500, max_duration=60),
        }
        return Target(**{**fields, **changes})

    return make
