"""The configuration that a rehearsal writes: what is practised on and what is demanded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TARGET = "refcrm"
GATE = "launch"
PROBED = ("login", "search", "browse_open")
PROBE_LIMIT = 1.0
FAULT_LATENCY = 1.5


EVERY_ROW = {
    "name": "every row is accounted for",
    "kind": "pull",
    "subject": "import",
    "measure": "rows.unaccounted",
    "limit": 0,
    "unit": "count",
    "maximum_age": "30m",
}
"""Demanded where the data came from a person's own file."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the reference CRM says of itself when it is ready."""

    url: str
    audit_database_url: str
    admin_database_url: str
    pgdata: str
    archive_dir: str
    bin_dir: str
    users_file: str
    password_file: str


def write_config(
    path: Path, facts: Facts, python: str, suites: tuple[str, ...], *, imported: bool = False
) -> None:
    """Write ``crmops.yaml`` for this rehearsal; no secret is in it, only where they are.

    ``imported`` says that the data came from a person's own file, all of it to be accounted for.
    """
    yaml = YAML()
    stream = io.StringIO()
    config = _config(facts, python, suites)
    if imported:
        config["gates"][GATE]["requirements"].insert(0, EVERY_ROW)
    yaml.dump(config, stream)
    path.write_text(
        "# Written by `crmops demo`. Use it with: crmops --config THIS_FILE runs list\n"
        + stream.getvalue(),
        encoding="utf-8",
    )


def _config(facts: Facts, python: str, suites: tuple[str, ...]) -> dict[str, Any]:
    password = f"file:{facts.password_file}"
    target = {
        "connector": "refcrm",
        "url": facts.url,
        "environment": "test",
        "username": "admin",
        "password": password,
        "accounts": {"file": facts.users_file, "password": password},
        "load": {"allowed": True, "max_users": 2000},
        "timeout": 10,
        "database": {
            "url": facts.audit_database_url,
            "backup_url": facts.admin_database_url,
            "data_directory": facts.pgdata,
            "archive_directory": facts.archive_dir,
            "binaries": facts.bin_dir,
        },
    }
    return {
        "state": ".",
        "history": {"url": "sqlite:///history.db", "artifacts": "artifacts"},
        "default_target": TARGET,
        "targets": {TARGET: target},
        "load": {"workload": "launch"},
        "probes": {"probes": [{"journey": j, "every": "3s", "limit": PROBE_LIMIT} for j in PROBED]},
        "dq": {"suites": list(suites)},
        "drills": _drills(python),
        "alerts": _alerts(facts.url),
        "exporter": {"expected": _expected(suites)},
        "gates": {GATE: {"target": TARGET, "requirements": requirements(suites)}},
    }


def _drills(python: str) -> dict[str, Any]:
    serve = [
        python, "-m", "refcrm", "serve",
        "--database", "{database_url}", "--ready-file", "{ready_file}",
    ]  # fmt: skip
    return {
        "rto_objective": 120,
        "rpo_objective": 120,
        "smoke": {"serve": serve, "health": "/healthz"},
    }


def _alerts(url: str) -> dict[str, Any]:
    """Rules that answer in seconds: a rehearsal cannot wait five minutes for a rate."""
    hook = {"url": f"{url}/_faults"}
    return {
        "window": "10s",
        "hold": "3s",
        "group_wait": "0s",
        "group_interval": "1s",
        "rehearsal": {
            "alert": "CrmProbeSlow",
            "begin": {**hook, "method": "PUT", "body": {"latency_seconds": FAULT_LATENCY}},
            "end": {**hook, "method": "DELETE"},
            "hold": "30s",
            "raise_within": "30s",
            "clear_within": "60s",
        },
    }


def _expected(suites: tuple[str, ...]) -> list[dict[str, str]]:
    audits = [{"kind": "dq", "subject": each} for each in suites]
    return [
        *audits,
        {"kind": "backup", "subject": "database"},
        {"kind": "drill", "subject": "restore"},
    ]


def requirements(suites: tuple[str, ...]) -> list[dict[str, Any]]:
    """What the launch gate of a rehearsal demands; all evidence is of this rehearsal."""
    fresh = {"maximum_age": "30m"}
    load = {"kind": "load", "subject": "launch", **fresh}
    drill = {"kind": "drill", "subject": "restore", "unit": "seconds", **fresh}
    alert = {"kind": "alert", "subject": "rehearsal", "unit": "seconds", **fresh}
    probes = [
        {"name": f"{each} works now", "kind": "probe", "subject": each, "maximum_age": "1m"}
        for each in PROBED
    ]
    audits = [
        {
            "name": f"{each} are clean enough",
            "kind": "dq",
            "subject": each,
            "measure": "score",
            "op": ">=",
            "limit": 0.95,
            **fresh,
        }
        for each in suites
    ]
    return [
        {"name": "500 people can work", **load},
        {
            "name": "95 of 100 answers come in time",
            **load,
            "measure": "response_time.p95",
            "limit": 1.0,
            "unit": "seconds",
            "minimum_samples": 1000,
        },
        {
            "name": "hardly an error",
            **load,
            "measure": "error.ratio",
            "limit": 0.01,
            "minimum_samples": 1000,
        },
        *probes,
        *audits,
        {"name": "a backup exists", "kind": "backup", "subject": "database", **fresh},
        {"name": "it can be restored", "kind": "drill", "subject": "restore", **fresh},
        {"name": "restored in time", **drill, "measure": "rto", "limit": 120.0},
        {"name": "little would be lost", **drill, "measure": "rpo", "limit": 120.0},
        {"name": "a slow CRM raises an alert", **alert, "measure": "raised_after", "limit": 30.0},
        {"name": "the alert clears again", **alert, "measure": "cleared_after", "limit": 60.0},
    ]
