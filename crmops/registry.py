"""One file to add a thing: whatever lies in a package and names itself is found."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from crmops.errors import CannotRun


class RegistryError(CannotRun):
    """A plug-in failed to import, or two claim one name: nothing is silently left out."""


def discover(package: str, attribute: str, group: str = "") -> dict[str, Any]:
    """Every ``attribute`` in the modules of ``package`` and in an entry-point ``group``, by name.

    A module whose name begins with ``_`` or that is called ``base`` is no plug-in.  The object's
    ``name`` is its key.  Raises RegistryError, naming the file, on a failed import, a missing
    attribute or a name that is taken.
    """
    found: dict[str, Any] = {}
    origin: dict[str, str] = {}
    parent = importlib.import_module(package)
    for info in pkgutil.iter_modules(parent.__path__):
        if info.name.startswith("_") or info.name == "base" or info.ispkg:
            continue
        path = f"{package}.{info.name}"
        _add(found, origin, path, _load(path, attribute))
    for entry in entry_points(group=group) if group else ():
        try:
            _add(found, origin, entry.value, entry.load())
        except ImportError as error:
            raise RegistryError(f"plug-in {entry.value} cannot be imported: {error}") from error
    return found


def _load(path: str, attribute: str) -> Any:
    try:
        module = importlib.import_module(path)
    except Exception as error:
        raise RegistryError(
            f"{path} cannot be imported: {error}", hint="Mend the file or take it away."
        ) from error
    if not hasattr(module, attribute):
        raise RegistryError(
            f"{path} has no {attribute}", hint=f"Every file there defines {attribute}."
        )
    return getattr(module, attribute)


def _add(found: dict[str, Any], origin: dict[str, str], path: str, thing: Any) -> None:
    name = thing.name
    if name in found:
        raise RegistryError(
            f"{path} and {origin[name]} are both called {name!r}",
            hint="Rename one of them.",
        )
    found[name], origin[name] = thing, path
