"""On what files and snapshots are audited."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from crmops.errors import UsageError
from dq_checks.lakes import lake
from dq_checks.scratch import Scratch, scratch
from dq_checks.settings import SparkSettings
from dq_checks.suite import Suite

ENGINES = ("scratch", "spark")


def opened(
    path: Path, suite: Suite, pairs: Sequence[str], engine: str, spark: SparkSettings
) -> AbstractContextManager[Scratch]:
    """A file or snapshot, ready to be audited on an engine.  Raises UsageError, CannotRun."""
    if engine not in ENGINES:
        raise UsageError(f"--engine {engine} is none", hint=f"There are: {', '.join(ENGINES)}.")
    if engine == "spark":
        return lake(path, suite, pairs, spark)
    return scratch(path, suite, pairs)
