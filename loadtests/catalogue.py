"""Finds workloads: by name among ours and the configured ones, or by the path of a file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

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
    try:
        text = path.read_text(encoding="utf-8")
        tree = YAML().load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError(
            f"the workload cannot be read: {str(reason).lower()}", where=str(path)
        ) from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise ConfigError(f"{problem}", where=f"{path}{line}") from None
    if not isinstance(tree, dict):
        raise ConfigError("a workload is a mapping", where=f"{path}:1", hint=_HINT)
    try:
        return Workload.model_validate(_plain(tree))
    except ValidationError as error:
        raise _explained(error, path, tree) from None


_HINT = "docs/load-testing.md describes the keys of a workload."


def _explained(error: ValidationError, path: Path, tree: Any) -> ConfigError:
    first = error.errors(include_url=False)[0]
    key = [part for part in first["loc"] if part != "[key]"]
    name = ".".join(str(part) for part in key) or "the workload"
    where = f"{path}:{_line(tree, key)}"
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{name} is not a key of a workload", where=where, hint=_HINT)
    if first["type"] == "missing":
        return ConfigError(f"{name} is missing", where=where, hint=_HINT)
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return ConfigError(f"{name}: {message}", where=where, hint=_HINT)


def _line(tree: Any, key: Iterable[str | int]) -> int:
    """The line of a key, or of the nearest thing around it."""
    line = 1
    for part in key:
        try:
            here: Any = tree
            mark = here.lc.key(part) if isinstance(tree, dict) else here.lc.item(part)
            line, tree = mark[0] + 1, tree[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _plain(tree: Any) -> Any:
    """Ruamel's containers as plain ones, so that messages show what was written."""
    if isinstance(tree, dict):
        return {str(key): _plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(value) for value in tree]
    return tree


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
    try:
        return Workload.model_validate({**dict(workload), "roles": roles})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"load.{key or 'roles'}: {first['msg'].lower()}", hint=_HINT) from None
