"""A history in each kind of database, for one test body."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from crmops.history import History, open_history


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of an empty embedded PostgreSQL (database ``postgres``, superuser)."""
    from refcrm.cluster import start, stop  # the CRM's own launcher; nothing else of it is used

    directory = Path(tempfile.mkdtemp(prefix="crmops-pg-"))
    try:
        cluster = start(directory)
        yield cluster.url("postgres", "postgres")
        stop(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def history_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a fresh, empty history."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.sqlite'}"
    url: str = request.getfixturevalue("postgres")
    name = f"h{uuid.uuid4().hex[:12]}"
    connection = psycopg.connect(url, autocommit=True)
    try:
        connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        connection.close()
    return url.replace("/postgres?", f"/{name}?")


@pytest.fixture
def history(history_url: str, tmp_path: Path) -> Iterator[History]:
    opened = open_history(history_url, tmp_path / "artifacts")
    yield opened
    opened.close()


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[History]:
    """A history in SQLite, for what does not depend on the database."""
    opened = open_history(f"sqlite:///{tmp_path / 'lite.sqlite'}", tmp_path / "artifacts")
    yield opened
    opened.close()


@pytest.fixture
def python() -> list[str]:
    """The command that starts another interpreter like this one."""
    return [sys.executable]


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in another process, at most 60 s."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
