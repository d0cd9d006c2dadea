"""People of the shared reference CRM, and further servers on its database."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import RefcrmServer

Login = Callable[[str], httpx.Client]
Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def login(refcrm_server: RefcrmServer) -> Iterator[Login]:
    """A client of the API for a person, logged in; the same one for the same name."""
    clients: dict[str, httpx.Client] = {}

    def make(username: str) -> httpx.Client:
        if username not in clients:
            head = {"authorization": f"Bearer {refcrm_server.token(username)}"}
            base = f"{refcrm_server.url}/api/v1"
            clients[username] = httpx.Client(base_url=base, headers=head, trust_env=False)
        return clients[username]

    yield make
    for client in clients.values():
        client.close()


@pytest.fixture(scope="session")
def admin(login: Login) -> httpx.Client:
    return login("admin")


@pytest.fixture(scope="session")
def rep(login: Login, refcrm_server: RefcrmServer) -> httpx.Client:
    return login(refcrm_server.username("rep"))


@pytest.fixture
def database(refcrm_server: RefcrmServer) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """The CRM's database by SQL, as its owner."""
    with psycopg.connect(refcrm_server.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def serve(refcrm_server: RefcrmServer) -> Serve:
    """Another server on the shared database: ``with serve("--rate", "2") as url``."""

    @contextmanager
    def started(*options: str) -> Iterator[str]:
        with tempfile.TemporaryDirectory() as place:
            ready = Path(place) / "ready.json"
            command = [sys.executable, "-m", "refcrm", "serve", "--ready-file", str(ready)]
            command += ["--database", refcrm_server.database_url, *options]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                yield str(wait_for(ready, process)["url"])
            finally:
                process.terminate()
                assert process.wait(30) == 0

    return started


def wait_for(ready: Path, process: subprocess.Popen[Any], seconds: float = 60) -> dict[str, Any]:
    """The ready file's content, once it is there; fails when the process ends without it."""
    deadline = time.monotonic() + seconds
    while not ready.exists():
        assert process.poll() is None, "the server ended before it was ready"
        assert time.monotonic() < deadline, "the server did not get ready"
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
    return found
