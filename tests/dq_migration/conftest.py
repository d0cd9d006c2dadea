"""Histories, migrators and scratch databases of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from crmops.history import History, open_history
from tests.dq_migration.support import Migrator


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")
    yield made
    made.close()


@pytest.fixture
def migrator(history: History, tmp_path: Path) -> Migrator:
    return Migrator(history, tmp_path)


@pytest.fixture(scope="session")
def database(refcrm_server: Any) -> str:
    """The address of an empty database in the reference CRM's cluster; it goes with it."""
    ready = refcrm_server.ready
    host = quote(ready["socket_dir"], safe="")

    def address(database: str, role: str) -> str:
        return f"postgresql://{role}@/{database}?host={host}&port={ready['pg_port']}"

    name = f"migration_{os.getpid()}"
    with psycopg.connect(address("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} owner crm")
    return address(name, "crm")
