"""A history of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crmops.history import History, open_history

CONFIG = """
state: {state}
targets:
  crm:
    connector: refcrm
    url: http://127.0.0.1:1
    accounts: [{{username: rep1, role: rep, password: "env:PLANTED"}}]
    load: {{allowed: true}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose state is in the test's own directory."""
    monkeypatch.setenv("PLANTED", "planted-secret")
    monkeypatch.delenv("CRMOPS_STATE", raising=False)
    path = tmp_path / "crmops.yaml"
    path.write_text(CONFIG.format(state=tmp_path / "state"))
    return path


@pytest.fixture
def history(config: Path) -> Iterator[History]:
    """The history that the configuration names."""
    from crmops.config import load_config

    found = load_config(config)
    opened = open_history(found.history_url, found.artifacts_dir)
    yield opened
    opened.close()
