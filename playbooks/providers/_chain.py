"""Incremental backups of PostgreSQL 17 and newer: upon which one, and putting a chain together.

pg_combinebackup is never told to ``--link``: the result would share its files with the backup, and
starting it would destroy them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.catalogue import Catalogue, Manifest, read_manifest
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.postgres import run_tool
from playbooks.tree import copy_tree, differences, hash_tree, need_space

FIRST_MAJOR = 17
_PARENT = "backup_manifest"


def choose_parent(job: Job) -> Manifest | None:
    """The newest backup of the same system that an incremental one can rest upon.

    Raises CannotRun for a server that is too old for incremental backups.
    """
    source = job.facts("source_check")
    if source["major"] < FIRST_MAJOR:
        raise CannotRun(
            f"incremental backups need PostgreSQL {FIRST_MAJOR}, the source is {source['major']}",
            hint="Leave out --incremental.",
        )
    catalogue = Catalogue(job.backup.parent.parent, job.backup.parent.name)
    for each in catalogue.manifests():
        same = each.system_identifier == source["system_identifier"]
        here = (catalogue.place(each.id) / "data" / _PARENT).is_file()
        if same and here and each.provider == "postgresql" and each.timeline == source["timeline"]:
            return each
    return None


def parent_option(job: Job, parent: Manifest) -> str:
    """pg_basebackup's option; the parent's manifest is copied to where its user can read it."""
    path = job.scratch / "parent_manifest"
    shutil.copyfile(job.backup.parent / parent.id / "data" / _PARENT, path)
    osuser.give(path, osuser.substitute())
    return f"--incremental={path}"


def members(job: Job, manifest: Manifest) -> list[tuple[Path, Manifest]]:
    """The backups of a chain with their manifests, the full one first.  Raises CheckFailed."""
    found = []
    for parent in reversed(manifest.parents):
        try:
            found.append((job.backup.parent / parent, read_manifest(job.backup.parent / parent)))
        except CheckFailed as error:
            raise CheckFailed(f"{parent}, upon which the backup rests: {error.message}") from None
    return [*found, (job.backup, manifest)]


def damages(chain: list[tuple[Path, Manifest]]) -> list[str]:
    """What is wrong with the files of a chain, as lines for a person."""
    lines = []
    for folder, manifest in chain:
        wrong = differences(manifest.files, hash_tree(folder / "data"))
        lines += [f"{line} in {manifest.id}" for line in wrong]
    return lines


def combine(job: Job, chain: list[tuple[Path, Manifest]]) -> None:
    """Put a chain together into ``job.data``.

    Raises CheckFailed when a file of it is damaged or pg_combinebackup finds that it is no chain.
    """
    if wrong := damages(chain):
        raise CheckFailed(f"the backup's files are damaged: {'; '.join(wrong[:5])}")
    need_space(job.scratch, 2 * sum(each.bytes for _, each in chain), "putting the chain together")
    folder = job.scratch / "chain"
    folder.mkdir(mode=0o700)
    for place, manifest in chain:
        copy_tree(place / "data", folder / manifest.id)
    osuser.give_tree(folder, osuser.substitute())
    done = run_tool(
        job, "pg_combinebackup", *(folder / manifest.id for _, manifest in chain),
        "-o", job.data, "--manifest-checksums=CRC32C", "--no-sync", seconds=job.settings.timeout,
    )  # fmt: skip
    shutil.rmtree(folder)
    if done.code != 0:
        raise CheckFailed(f"the chain cannot be put together: {done.last_line}")
