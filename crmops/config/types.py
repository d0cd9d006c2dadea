"""Field types for settings: what depends on where the configuration file lies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

BASE = "crmops_base"
"""Key of the validation context that holds the directory of the configuration file."""


def against(base: Path, path: Path) -> Path:
    """A path as it is meant: relative to ``base``, ``~`` being the user's home."""
    try:
        return base / path.expanduser()
    except RuntimeError:  # the user has no home directory
        return base / path


def _local(value: Path, info: ValidationInfo) -> Path:
    context: Any = info.context or {}
    return against(context.get(BASE, Path.cwd()), value)


LocalPath = Annotated[Path, AfterValidator(_local)]
"""A path that is relative to the configuration file, made absolute."""
