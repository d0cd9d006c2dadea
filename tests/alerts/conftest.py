"""A receiver that is served, and notifications as Alertmanager sends them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from alerts.receiver import create_app
from crmops.config import load_config
from crmops.history import History, open_history
from crmops.record import utc_now

BASE = (
    "default_target: crm\n"
    "targets:\n"
    "  crm: {connector: refcrm, url: 'http://127.0.0.1:1'}\n"
    "  other: {connector: refcrm, url: 'http://127.0.0.1:1'}\n"
)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")
    yield opened
    opened.close()


Receiver = Callable[..., httpx.Client]


@pytest.fixture
def receiver(tmp_path: Path, history: History) -> Iterator[Receiver]:
    """Serves the receiver with a section ``alerts``; a client that is bound to it."""
    running: list[tuple[uvicorn.Server, threading.Thread, httpx.Client]] = []

    def serve(section: str = "") -> httpx.Client:
        (tmp_path / "crmops.yaml").write_text(BASE + section)
        config = load_config(tmp_path / "crmops.yaml", environ={"TOKEN": "s3cret-token"})
        app = uvicorn.Config(
            create_app(config, history), port=0, log_level="error", ws="none", lifespan="off"
        )
        server = uvicorn.Server(app)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        running.append((server, thread, client))
        return client

    yield serve
    for server, thread, client in running:
        client.close()
        server.should_exit = True
        thread.join()


def alert(
    name: str = "CrmProbeSlow",
    status: str = "firing",
    ago: float = 60.0,
    ended: datetime | None = None,
    **labels: str,
) -> dict[str, Any]:
    """One alert of a notification, begun ``ago`` seconds ago (rounded to the minute)."""
    began = (utc_now() - timedelta(seconds=ago)).replace(second=0, microsecond=0)
    never = datetime(1, 1, 1, tzinfo=UTC)
    resolved = ended or began + timedelta(seconds=30)
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "page", "target": "crm", **labels},
        "annotations": {"summary": f"{name} happens"},
        "startsAt": began.isoformat(),
        "endsAt": (resolved if status == "resolved" else never).isoformat(),
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": "c0ffee",
    }


def notification(*alerts: dict[str, Any]) -> dict[str, Any]:
    """A notification in Alertmanager's format 4."""
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "status": "firing",
        "receiver": "crmops",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
        "truncatedAlerts": 0,
        "alerts": list(alerts),
    }
