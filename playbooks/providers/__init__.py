"""The providers of backups, one file each, found by themselves."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path

from crmops.errors import CannotRun, ConfigError
from crmops.registry import discover
from crmops.target import Target
from playbooks.catalogue import Manifest, read_manifest
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.providers.base import Provider


def providers() -> dict[str, Provider]:
    """Every provider by name."""
    return dict(_found())


@functools.cache
def _found() -> dict[str, Provider]:
    return discover("playbooks.providers", "PROVIDER", "crmops.providers")


def provider_of(job: Job) -> Provider:
    """The provider that takes, or took, the job's backup."""
    return _found()[job.provider]


def taken_by(backup: Path, default: str, major: int | None) -> tuple[str, int | None]:
    """Provider and server version of a backup in the catalogue; else what was given."""
    try:
        found = read_manifest(backup)
    except CheckFailed:  # there is none yet, or a stage will say what is wrong with it
        return default, major
    return (found.provider if found.provider in _found() else default), found.major


def need_files(manifest: Manifest, what: str) -> None:
    """Raise CannotRun unless a backup lies in the catalogue as PostgreSQL's own files."""
    if manifest.provider != "postgresql":
        raise CannotRun(
            f"{what} is for backups of the provider postgresql; {manifest.id} is one of "
            f"{manifest.provider}",
            hint="Name another backup, or leave it out.",
        )


def need_postgresql(job: Job, what: str) -> None:
    """Raise CannotRun unless a backup is one of PostgreSQL, whatever took it."""
    engine = provider_of(job).engine.name
    if engine != "postgresql":
        raise CannotRun(
            f"{what} is for PostgreSQL; {job.backup.name} is a backup of {engine}",
            hint="Rehearse it with that server's own tools.",
        )


def check_provider(target: Target) -> Provider:
    """The provider that a target's configuration names.  Raises ConfigError for an unknown one."""
    name, known = target.backup.provider, _found()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"targets.{target.name}.backup.provider is {name!r}, which does not exist",
            hint=f"{hint}Allowed: {', '.join(sorted(known))}.",
        )
    return known[name]
