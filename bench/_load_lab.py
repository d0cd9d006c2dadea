"""What the benches of load tests share: a reference CRM of their own, and a target that is it."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from crmops.secret import Secret
from crmops.target import Account, LoadPermission, Target

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120


@dataclass(frozen=True)
class Lab:
    """A running reference CRM: its address, its people, and a directory for the history.

    ``database`` is its database as the role sees it that may only read.
    """

    url: str
    password: str
    people: list[dict[str, str]]
    place: Path
    database: str = ""

    def target(self, *, shared: int = 0) -> Target:
        """A target with everybody's account, or with ``shared`` seats of one integration login."""
        people = [(each["username"], each["role"]) for each in self.people]
        if shared:
            one = next(each["username"] for each in self.people if each["role"] == "rep")
            people = [(one, "rep")] * shared
        accounts = tuple(
            Account(username=name, password=Secret(self.password), role=role)
            for name, role in people
        )
        permission = LoadPermission(allowed=True, max_users=5000, max_rate=5000)
        return Target(
            name="lab",
            connector="refcrm",
            url=self.url,
            username="admin",
            password=Secret(self.password),
            accounts=accounts,
            load=permission,
        )

    @contextmanager
    def faults(self, **knobs: Any) -> Iterator[None]:
        """Turn fault knobs for a while."""
        login = {"username": "admin", "password": self.password}
        with httpx.Client(base_url=self.url, trust_env=False) as http:
            token = http.post("/api/v1/login", json=login).raise_for_status().json()["token"]
            http.headers["authorization"] = f"Bearer {token}"
            http.put("/_faults", json=knobs).raise_for_status()
            try:
                yield
            finally:
                http.delete("/_faults").raise_for_status()


@contextmanager
def lab(*, users: int = 200, contacts: int = 2000, more: tuple[str, ...] = ()) -> Iterator[Lab]:
    """A reference CRM for as long as the body runs."""
    place = Path(tempfile.mkdtemp(prefix="crmops-bench-"))
    place.chmod(0o755)
    ready = place / "ready.json"
    command = [sys.executable, "-m", "refcrm", "up", "--dir", str(place / "crm"), "--faults"]
    command += ["--users", str(users), "--contacts", str(contacts), *more]
    command += ["--ready-file", str(ready)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield _opened(ready, process, place)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(place, ignore_errors=True)


def _opened(ready: Path, process: subprocess.Popen[bytes], place: Path) -> Lab:
    until = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the reference CRM did not start")
        time.sleep(0.1)
    found = json.loads(ready.read_text())
    with Path(found["users_file"]).open(newline="") as lines:
        people = list(csv.DictReader(lines))
    password = Path(found["password_file"]).read_text().strip()
    database = found["database_url"].replace("//crm@", "//crm_audit@", 1)
    return Lab(found["url"], password, people, place, database)
