"""Audit the data of the copy with the suites of the data-quality room, by its own command.

The command gets a configuration of its own, whose one target is the copy, and a history of its
own; both lie in the scratch directory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from crmops.errors import CannotRun
from playbooks.catalogue import read_manifest
from playbooks.instance import require_alive
from playbooks.job import Job, write_atomically
from playbooks.providers import provider_of
from playbooks.report import Report
from playbooks.runner import child_environment

_TARGET = "copy"


def run(job: Job, report: Report) -> None:
    """Every suite must have a score.  Raises CannotRun when an audit could not be carried out."""
    audits = job.settings.audits
    folder = job.scratch / "audit"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = _audit(job, folder)
    require_alive(job)
    scores = []
    for each in found:
        score = _value(each, "score")
        scores.append({"suite": each["subject"], "score": score, "rows": _value(each, "rows"),
                       "verdict": each["verdict"], "reason": each["reason"]})  # fmt: skip
        if score is not None:
            report.check(
                f"audit of {each['subject']}", score >= audits.minimum_score,
                wanted=f"at least {audits.minimum_score:.2%}", found=f"{score:.2%}",
            )  # fmt: skip
    report.fact(audits=scores)


def _audit(job: Job, folder: Path) -> list[dict[str, Any]]:
    """What the command says of each suite."""
    config = folder / "crmops.yaml"
    write_atomically(config, json.dumps(_configuration(job, folder)))
    command = [sys.executable, "-P", "-m", "crmops", "--config", str(config), "dq", "run"]
    seconds = job.settings.audits.timeout
    try:
        done = subprocess.run(
            [*command, *job.settings.audits.suites, "--json"], cwd=folder, check=False,
            env=child_environment(job, folder), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CannotRun(
            f"the audits did not end within {seconds:.0f} s", hint="Raise drills.audits.timeout."
        ) from None
    try:
        runs: list[dict[str, Any]] = json.loads(done.stdout)["runs"]
    except (ValueError, KeyError, TypeError):
        raise CannotRun(f"the audits could not be carried out: {_said(done.stderr)}") from None
    for each in runs:
        if each["verdict"] == "error":
            raise CannotRun(f"the audit of {each['subject']} ended in error: {each['reason']}")
    return runs


def _configuration(job: Job, folder: Path) -> dict[str, Any]:
    manifest = read_manifest(job.backup)
    address = provider_of(job).engine.copy_address(job, manifest)
    return {
        "state": str(folder),
        "history": {"url": f"sqlite:///{folder / 'history.db'}"},
        "targets": {
            _TARGET: {
                "connector": "refcrm",  # nobody speaks to it: an audit reads the database
                "url": "http://127.0.0.1:9",
                "database": {"url": address},
            }
        },
        "dq": {
            "database": "live",
            "groups": False,
            "worklist": "none",
            "suite_directories": [str(each) for each in job.settings.audits.suite_directories],
        },
    }


def _value(run: dict[str, Any], name: str) -> float | None:
    found = [each["value"] for each in run["measures"] if each["name"] == name]
    return found[0] if found else None


def _said(text: bytes) -> str:
    """The line of the command's that says what was wrong."""
    lines = [each.strip() for each in text.decode("utf-8", "replace").splitlines() if each.strip()]
    telling = [each.removeprefix("error: ") for each in lines if each.startswith("error: ")]
    return (telling or lines or ["it said nothing"])[-1][:200]
