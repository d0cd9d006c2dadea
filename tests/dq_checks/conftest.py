"""A worker shared by all tests here, scratch databases, and audits of them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from crmops.history import History, open_history
from dq_checks.client import AuditWorker
from tests.dq_checks.mariadb import MariaServer
from tests.dq_checks.support import Auditor, Database

_NUMBERS = itertools.count(1)


def address(ready: dict[str, Any], database: str, role: str) -> str:
    """A database of the reference CRM's cluster, as seen by a role."""
    host = quote(ready["socket_dir"], safe="")
    return f"postgresql://{role}@/{database}?host={host}&port={ready['pg_port']}"


@pytest.fixture(scope="session")
def worker() -> Iterator[AuditWorker]:
    """One worker for all tests: its imports cost seconds."""
    with AuditWorker() as started:
        yield started


@pytest.fixture(scope="session")
def spark_worker() -> Iterator[AuditWorker]:
    """Another worker, in which Spark's JVM lives once a test has needed it."""
    with pytest.MonkeyPatch.context() as patch:  # little is compiled often in tests
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        with AuditWorker() as started:
            yield started


@pytest.fixture(scope="session")
def maria() -> Iterator[MariaServer]:
    """A MariaDB server for the tests of the group that shares it."""
    server = MariaServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def new_database(refcrm_server: Any) -> Callable[[], Database]:
    """Makes empty databases; they go with the cluster."""
    ready = refcrm_server.ready

    def make() -> Database:
        name = f"dq_{os.getpid()}_{next(_NUMBERS)}"
        admin = address(ready, "postgres", "postgres")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"create database {name} owner crm")
        with psycopg.connect(address(ready, name, "crm")) as connection:
            connection.execute(
                "alter default privileges in schema public grant select on tables to crm_audit"
            )
        return Database(address(ready, name, "crm"), address(ready, name, "crm_audit"))

    return make


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Database:
    """An empty database."""
    return new_database()


@pytest.fixture(scope="session")
def seeded(
    new_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Database:
    """2,500 contacts and their neighbours with known defects."""
    made = new_database()
    password = tmp_path_factory.mktemp("seed") / "password"
    password.write_text("a-password-for-tests")
    command = [sys.executable, "-m", "refcrm", "seed", "--database", made.owner]
    command += ["--password-file", str(password), "--contacts", "2500", "--users", "30"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return made


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A history of its own."""
    made = open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")
    yield made
    made.close()


@pytest.fixture
def auditor(history: History, worker: AuditWorker) -> Auditor:
    """Audits with the shared worker into a history of its own."""
    return Auditor(history, worker)
