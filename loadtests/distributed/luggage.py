"""Files that a target names: a worker on another machine gets them with its plan."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

LARGEST = 1_000_000
"""Bytes; certificates and profiles are far smaller."""

MARK = "crmops-file"


def packed(target: dict[str, Any]) -> dict[str, Any]:
    """A target as plain data, with every file that it names in the place of its path."""
    found: dict[str, Any] = _mapped(target, _pack)
    return found


def unpacked(target: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The target again: its files lie in ``folder``, and it names them there."""
    written: list[Path] = []

    def unpack(value: Any) -> Any:
        if not (isinstance(value, dict) and MARK in value):
            return value
        path = folder / f"file{len(written)}-{Path(str(value['name'])).name}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(value[MARK])
        written.append(path)
        return str(path)

    found: dict[str, Any] = _mapped(target, unpack)
    return found


def _pack(value: Any) -> Any:
    if not (isinstance(value, str) and value.startswith("/")):
        return value
    path = Path(value)
    try:
        if path.is_file() and path.stat().st_size <= LARGEST:
            return {MARK: path.read_text(encoding="utf-8"), "name": path.name}
    except (OSError, UnicodeDecodeError):
        pass
    return value


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    changed = change(value)
    if changed is not value:
        return changed
    if isinstance(value, dict):
        return {name: _mapped(each, change) for name, each in value.items()}
    if isinstance(value, list):
        return [_mapped(each, change) for each in value]
    return value
