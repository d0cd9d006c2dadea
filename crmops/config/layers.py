"""Lays environment variables and flags over the file and remembers where each value came from."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from crmops.config.frame import Frame
from crmops.config.reader import Document, Key, dotted, nearest, parse_value
from crmops.errors import ConfigError

PREFIX = "CRMOPS_"
NOT_SETTINGS = frozenset({"CRMOPS_CONFIG", "CRMOPS_OS_USER"})
"""Variables of ours that are no settings: they say where the settings are and who we become."""


class Layers:
    """The merged values of file, variables and flags; later ones win."""

    def __init__(self, document: Document) -> None:
        # A section of which everything is commented out is one that nobody has written.
        given = {name: value for name, value in document.values.items() if value is not None}
        self.values: dict[str, Any] = copy.deepcopy(given)
        self._document = document
        self._origins: dict[Key, str] = {}

    def where(self, key: Key) -> str:
        """The file and line, the variable or the flag that decides a key."""
        for length in range(len(key), 0, -1):
            if key[:length] in self._origins:
                return self._origins[key[:length]]
            if key[:length] in self._document.lines:
                break
        return self._document.where(key)

    def origin(self, key: Key) -> str:
        """Like ``where``, but ``default`` for what nobody set."""
        for length in range(len(key), 0, -1):
            if key[:length] in self._origins:
                return self._origins[key[:length]]
        return self._document.where(key) if key in self._document.lines else "default"

    def add_environment(self, environ: Mapping[str, str]) -> None:
        """Takes ``CRMOPS_TARGETS__CRM__URL`` and its like.  An empty variable is not set."""
        for name in sorted(environ):
            if not name.startswith(PREFIX) or name in NOT_SETTINGS or not environ[name]:
                continue
            parts = name.removeprefix(PREFIX).lower().split("__")
            section = parts[0]
            if section in Frame.model_fields:
                self._set(parts, environ[name], name)
            elif len(parts) > 1:
                guess = nearest(section, Frame.model_fields)
                allowed = ", ".join(each.upper() for each in Frame.model_fields)
                meant = f"Did you mean {PREFIX}{guess.upper()}__...? " if guess else ""
                raise ConfigError(
                    f"{section} is not a setting",
                    where=name,
                    hint=f"{meant}Allowed behind {PREFIX}: {allowed}.",
                )

    def add_flags(self, overrides: Mapping[str, str]) -> None:
        """Takes what ``--set a.b=c`` gives."""
        for name, value in overrides.items():
            self._set(name.split("."), value, f"--set {name}")

    def _set(self, parts: Iterable[str], text: str, origin: str) -> None:
        value = parse_value(text, origin)
        *path, last = parts
        here: Any = self.values
        key: Key = ()
        for part in path:
            name = _entry(here, part, (*key, part), origin)
            key = (*key, name)
            if isinstance(here, dict) and here.get(str(name)) is None:
                here[str(name)] = {}
            here = here[name]
        name = _entry(here, last, (*key, last), origin)
        here[name] = value
        self._origins = {
            each: at for each, at in self._origins.items() if each[: len(key) + 1] != (*key, name)
        }
        self._origins[(*key, name)] = origin


def _entry(here: object, part: str, key: Key, origin: str) -> str | int:
    """The entry that a part of a variable or flag means: variables know no case and no hyphen."""
    if isinstance(here, list):
        if part.isdigit() and int(part) < len(here):
            return int(part)
        raise ConfigError(
            f"{dotted(key)} does not exist; the list has {len(here)} entries",
            where=origin,
            hint="Entries are counted from 0.",
        )
    if not isinstance(here, dict) or not part:
        raise ConfigError(
            f"{dotted(key) or 'the empty name'} cannot be set: it is not inside a mapping",
            where=origin,
            hint="Look at `crmops config show` for what there is.",
        )
    if origin.startswith("--set"):
        return part
    same = [name for name in here if name.lower().replace("-", "_") == part]
    return same[0] if same else part
