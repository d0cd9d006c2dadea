"""What audits counted, kept beside the history, so that unchanged records need no second look."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import ValidationError

from crmops.errors import CannotRun
from dq_checks.messages import Ledger


class Ledgers:
    """One file for each target and suite, below the state directory; numbers and owners' keys."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "dq" / "ledgers"

    def read(self, target: str, suite: str) -> Ledger:
        """What was counted last; an empty one if there is none, or one that cannot be read."""
        try:
            return Ledger.model_validate_json(self._path(target, suite).read_bytes())
        except (OSError, ValidationError):  # everything is then counted
            return Ledger()

    def write(self, target: str, suite: str, ledger: Ledger) -> None:
        """Keep what was counted, whole or not at all.  Raises CannotRun."""
        path = self._path(target, suite)
        made = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with made.open("w", encoding="utf-8") as out:
                out.write(ledger.model_dump_json())
                out.flush()
                os.fsync(out.fileno())
            made.replace(path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CannotRun(
                f"{path} cannot be written: {reason}", hint="Look at the state directory."
            ) from None

    def _path(self, target: str, suite: str) -> Path:
        name = re.sub(r"[^A-Za-z0-9_-]", lambda found: f"%{ord(found[0]):x}", target)
        return self._directory / f"{name}.{suite}.json"
