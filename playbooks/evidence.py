"""What an auditor gets: every stage, check and number of a run, as canonical JSON."""

from __future__ import annotations

from typing import Any

from crmops.execute import Execution
from crmops.verdict import Judgement
from playbooks.job import canonical
from playbooks.judge import Finished

_BULKY = ("hashes", "segments", "contents", "settings")
"""Facts that the backup's own manifest keeps; here they are only counted."""


def write_evidence(execution: Execution, finished: Finished, judgement: Judgement) -> None:
    """Attach playbook.log and evidence.json to the run."""
    log = execution.attach("playbook.log", "\n".join(finished.ending.log) + "\n")
    document = {**build(execution, finished, judgement), "log_sha256": log.sha256}
    execution.attach("evidence.json", canonical(document) + "\n")


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
