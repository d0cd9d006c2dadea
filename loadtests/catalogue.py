"""Finds workloads: by name among ours and the configured ones, or by the path of a file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from crmops.config.explain import explain
from crmops.config.reader import read_document
from crmops.errors import ConfigError, UsageError
from loadtests.settings import Settings
from loadtests.workload import Workload

OURS = Path(__file__).parent / "workloads"
SUFFIXES = (".yaml", ".yml")


def find_workload(name: str, settings: Settings) -> Workload:
    """The workload of that name, or in that file, with the configured changes to its roles.

    Raises UsageError for an unknown name, ConfigError for a file that is wrong.
    """
    if name.endswith(SUFFIXES) or "/" in name:
        return _with_roles(read_workload(Path(name)), settings)
    known = catalogue(settings)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"there is no workload {name!r}",
            hint=f"{hint}Known: {', '.join(sorted(known))}; or give the path of a YAML file.",
        )
    return _with_roles(known[name], settings)


def catalogue(settings: Settings) -> dict[str, Workload]:
    """Every workload by name.  Raises ConfigError if a file is wrong or two have one name."""
    found: dict[str, Workload] = {}
    origin: dict[str, Path] = {}
    for path in _files((OURS, *settings.workloads)):
        workload = read_workload(path)
        if workload.name in found:
            raise ConfigError(
                f"the workload {workload.name!r} is also in {origin[workload.name]}",
                where=str(path),
                hint="Rename one of them.",
            )
        found[workload.name], origin[workload.name] = workload, path
    return found


def read_workload(path: Path) -> Workload:
    """The workload in a YAML file.  Raises ConfigError that says file, line and key."""
    document = read_document(path, str(path))
    try:
        return Workload.model_validate(document.values)
    except ValidationError as error:
        raise explain(error, Workload, document.values, (), document.where) from None


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(path for path in place.iterdir() if path.suffix in SUFFIXES)
        else:
            yield place


def _with_roles(workload: Workload, settings: Settings) -> Workload:
    """The workload with the changes of ``load.roles``; roles that it lacks are left alone."""
    roles = {
        name: {**role.model_dump(), **settings.roles.get(name, {})}
        for name, role in workload.roles.items()
    }
    fields = {**dict(workload), "roles": roles}
    try:
        return Workload.model_validate(fields)
    except ValidationError as error:
        raise explain(error, Workload, fields, (), _in_load_section) from None


def _in_load_section(key: tuple[str | int, ...]) -> str:
    return f"load.{'.'.join(str(part) for part in key)}"
