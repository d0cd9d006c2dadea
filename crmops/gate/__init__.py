"""The launch gate: go, no-go or unknown, from stored evidence and from nothing else."""

from __future__ import annotations

from crmops.gate.decide import Decision, Ruling, decide
from crmops.gate.run import check_gate
from crmops.gate.settings import Gate, Gates, Requirement, Waiver

__all__ = [
    "Decision",
    "Gate",
    "Gates",
    "Requirement",
    "Ruling",
    "Waiver",
    "check_gate",
    "decide",
]
