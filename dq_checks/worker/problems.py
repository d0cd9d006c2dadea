"""Why a suite cannot be run at all."""

from __future__ import annotations


class JobProblem(Exception):
    """A suite cannot be run at all."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
