"""Data Docs of stored audits: what is shown is taken from their evidence, nothing is audited."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crmops.errors import CannotRun, UnknownEvidence, UsageError
from crmops.history import History
from crmops.record import Kind, Run
from dq_checks.client import environment

SECONDS = 300.0
RESULT = "/result.json"


def build(history: History, names: Sequence[str], out: Path) -> tuple[int, list[Run]]:
    """Write the pages of some audits into a new directory; the number of pages, and the Runs.

    Raises UsageError for a directory with something in it, UnknownEvidence for a Run that is
    no audit or whose evidence was altered, CannotRun when the pages cannot be built.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already", hint="Name a new directory.")
    runs = [_audit(history, each) for each in names]
    audits = [_document(history, each) for each in runs]
    said = subprocess.run(
        [sys.executable, "-P", "-m", "dq_checks.worker.data_docs"],
        input=json.dumps({"out": str(out.absolute()), "audits": audits}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        timeout=SECONDS,
        check=False,
    ).stdout
    answer = json.loads(said) if said else {"reason": "great_expectations could not build them"}
    if "reason" in answer:
        raise CannotRun(
            f"the Data Docs were not built: {answer['reason']}", hint="Look at the directory."
        )
    return int(answer["pages"]), runs


def _audit(history: History, name: str) -> Run:
    found = history.get(name.upper())
    if found is None:
        near = [each for each in history.find(Kind.DQ, limit=10_000) if _begins(each, name)]
        if len(near) > 1:
            raise UsageError(f"{len(near)} audits begin with {name!r}", hint="Give more of the id.")
        if not near:
            raise UnknownEvidence(
                f"there is no audit {name!r}", hint="`crmops runs list --kind dq` shows their ids."
            )
        found = near[0]
    return found


def _begins(run: Run, name: str) -> bool:
    return bool(name) and run.id.startswith(name.upper())


def _document(history: History, run: Run) -> dict[str, Any]:
    kept = next((each for each in run.evidence if each.path.endswith(RESULT)), None)
    if kept is None or run.kind is not Kind.DQ:
        raise UnknownEvidence(
            f"run {run.id} holds no result of an audit",
            hint="Only audits that counted something can be shown: `crmops dq run`.",
        )
    if not history.files.intact(kept):
        raise UnknownEvidence(
            f"the evidence of run {run.id} is missing or was altered",
            hint="Audit again: `crmops dq run`.",
        )
    document = json.loads(history.files.path(kept).read_text(encoding="utf-8"))
    if "rules" not in document:  # duplicates, profiles and migrations have others
        raise UnknownEvidence(
            f"run {run.id} is no audit by rules",
            hint="Only audits by `crmops dq run` and `crmops dq file` can be shown.",
        )
    head = {
        "id": run.id, "target": run.target, "begun": run.begun.isoformat(),
        "verdict": run.verdict.value, "reason": run.reason,
    }  # fmt: skip
    return {**document, **head}
