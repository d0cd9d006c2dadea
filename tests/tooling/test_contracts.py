"""The import contracts hold, and each of them catches what it is there to catch."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PLANTED = {
    "rooms-above-kernel": ("probes/planted.py", "import exporter"),
    "kernel-layers": ("crmops/errors.py", "import crmops.record"),
    "refcrm-knows-nobody": ("refcrm/planted.py", "def late() -> None:\n    import crmops.wire"),
    "nobody-knows-refcrm": ("console/planted.py", "import refcrm"),
    "gate-reads-records": ("crmops/gate/planted.py", "import crmops.connectors"),
    "console-exporter-read-records": ("exporter/planted.py", "import crmops.drivers"),
    "locust-in-its-child": ("loadtests/planted.py", "def late() -> None:\n    import locust"),
    "data-libraries-in-dq": ("playbooks/planted.py", "import pandas"),
    "ansible-in-playbooks": ("probes/planted_too.py", "import ansible_runner"),
    "metrics-in-two-rooms": ("crmops/planted.py", "import prometheus_client"),
    "web-in-three-rooms": ("alerts/planted.py", "from fastapi import FastAPI"),
    "tracing-in-one-module": ("dq_checks/planted.py", "import opentelemetry.trace"),
}
"""For each contract a file to write or lengthen, and an import that it must refuse."""


def contracts(root: Path) -> dict[str, str]:
    """The names of all contracts, by id."""
    tool = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["id"]: contract["name"] for contract in tool["contracts"]}


def lint(project: Path) -> str:
    """What import-linter says about the packages of a copy of the project."""
    start = "from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run(
        [sys.executable, "-c", start, "--no-cache"],
        cwd=project,
        env={"PYTHONPATH": str(project), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


def test_every_contract_has_a_planted_import(root: Path) -> None:
    assert set(contracts(root)) == set(PLANTED)


@pytest.mark.xdist_group("import-linter")
def test_every_planted_import_is_caught(root: Path, copy: Path) -> None:
    for file, code in PLANTED.values():
        with (copy / file).open("a") as target:
            target.write(f"\n{code}\n")
    report = lint(copy)
    for name in contracts(root).values():
        assert f"{name} BROKEN" in report, report[-3000:]


@pytest.mark.xdist_group("import-linter")
def test_the_project_keeps_its_contracts(root: Path, copy: Path) -> None:
    report = lint(copy)
    for name in contracts(root).values():
        assert f"{name} KEPT" in report, report[-3000:]
