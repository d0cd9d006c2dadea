"""What an auditor gets: every stage, check and number of a run, signed, as canonical JSON."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path
from typing import Any

from crmops.execute import Execution
from crmops.history import History
from crmops.record import Run
from crmops.verdict import Judgement
from playbooks.judge import Finished
from playbooks.settings import Settings
from playbooks.standards import load_standards
from playbooks.words import LANGUAGES

EVIDENCE = "evidence.json"
LOG = "playbook.log"

_BULKY = ("hashes", "segments", "contents", "settings")
"""Facts that the backup's own manifest keeps; here they are only counted."""


def write_evidence(
    execution: Execution,
    finished: Finished,
    judgement: Judgement,
    *,
    settings: Settings,
    history: History,
    key: Path,
) -> None:
    """Attach playbook.log, the signed evidence.json and its pages to print to the run."""
    from playbooks.page import page_name, render
    from playbooks.signing import load_key, sign

    log = execution.attach(LOG, "\n".join(finished.ending.log) + "\n")
    document = {
        **build(execution, finished, judgement),
        "asked_by": _user(),
        "host": socket.gethostname(),
        "operator": settings.operator,
        "owner": settings.owner,
        "approver": settings.approver,
        "previous_sha256": _previous(history, execution.run),
        "log_sha256": log.sha256,
        "standards": [e.model_dump(mode="json") for e in load_standards(settings.standards)],
    }
    text = sign(document, load_key(key))
    execution.attach(EVIDENCE, text)
    for language in LANGUAGES:
        execution.attach(page_name(language), render(text, language))


def _previous(history: History, run: Run) -> str:
    """SHA-256 of the evidence before, so that none can be taken out unnoticed."""
    for each in history.find(run.kind, run.target, run.subject, finished=True, limit=20):
        for evidence in each.evidence:
            if evidence.path.endswith(f"/{EVIDENCE}"):
                return evidence.sha256
    return ""


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def build(execution: Execution, finished: Finished, judgement: Judgement) -> dict[str, Any]:
    """The evidence of a run; plain JSON types."""
    run = execution.run
    return {
        "format": 1,
        "run": run.id,
        "kind": run.kind.value,
        "target": run.target,
        "begun": run.begun.isoformat(),
        "verdict": run.verdict.value,
        "reason": run.reason,
        "backup": finished.job.backup.name,
        "tool_versions": run.tool_versions,
        "config_digest": run.config_digest,
        "incident": finished.job.incident.isoformat(),
        "measures": [each.model_dump(mode="json") for each in run.measures],
        "objectives": [each.model_dump(mode="json") for each in judgement.checks],
        "findings": [each.model_dump(mode="json") for each in run.findings],
        "stages": [_stage(each.model_dump(mode="json")) for each in finished.stages],
    }


def _stage(stage: dict[str, Any]) -> dict[str, Any]:
    facts = {
        name: {"count": len(value)} if name in _BULKY and isinstance(value, dict | list) else value
        for name, value in stage["facts"].items()
    }
    return {**stage, "facts": facts}
