"""What a provider of backups must be able to do.

A provider is one file in this folder with an object ``PROVIDER``: it knows one way to copy a
running database, to keep the copy, to say whether it is whole and to bring it back.  What is done
with the copy then (recover, compare, work on it) is the stages' business, the same for them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crmops.binaries import need_binary
from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.catalogue import Catalogue, Manifest
from playbooks.engines import Engine
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.report import Report
from playbooks.tree import differences, hash_tree


@dataclass(frozen=True, slots=True)
class Stored:
    """A backup that a provider keeps.

    ``label`` is the provider's own name of it, ``system`` the identifier of the server that it was
    taken of, ``bytes`` its size where it lies; ``parents`` are the labels that it needs besides.
    """

    label: str
    system: str
    bytes: int
    parents: tuple[str, ...] = ()


class Provider(Protocol):
    """One way to back a database up and to bring it back.

    ``engine`` is the kind of server that it is for, ``programs`` what must be installed.  One that
    ``keeps_log`` has the log in a repository of its own; others read the source's archive.

    A method that finds the backup to be bad raises CheckFailed or writes a failed check; one that
    could not do its work raises CannotRun.
    """

    name: str
    summary: str
    engine: Engine
    keeps_log: bool
    programs: tuple[str, ...]

    def check(self, job: Job) -> None:
        """Raise CannotRun, with a way out, unless the provider has what it needs."""

    def backup(self, job: Job, report: Report) -> Stored:
        """Copy the running source.  The copy need not be known to the catalogue yet."""

    def inspect(self, job: Job, report: Report) -> None:
        """Verify the copy that `backup` has made, and write down what it is as facts.

        Facts: ``hashes`` (SHA-256 by path), ``system_identifier``, ``timeline``,
        ``segment_bytes``, ``start_lsn`` and ``end_lsn``: where the log is needed from, and from
        where on the copy is consistent.
        """

    def keep(self, job: Job, folder: Path) -> None:
        """Put into a folder of the catalogue what the provider does not keep elsewhere."""

    def stored(self, job: Job) -> tuple[Stored, ...]:
        """The backups that are kept, oldest first."""

    def restore(self, job: Job, manifest: Manifest) -> int:
        """Put the files of a backup into ``job.data``; bytes that lie there then."""

    def verify(self, job: Job, manifest: Manifest, report: Report) -> None:
        """Is the backup, byte for byte, what was backed up, and of the system that it says?"""

    def segment(self, job: Job, name: str, folder: Path) -> Path | None:
        """One file of the archived log, to be read only; None when the archive has none.

        It lies in the archive itself, or in ``folder`` when it had to be brought from elsewhere.
        """


def need_archive(job: Job) -> Path:
    """Where the source archives its log.  Raises CannotRun when that is not known."""
    if job.archive is None:
        raise CannotRun(
            "it is not known where the write-ahead log is archived",
            hint="Set archive_mode and archive_command, and database.archive_directory.",
        )
    return job.archive


def need_reachable(names: Iterable[str]) -> None:
    """Raise CannotRun unless every program is there, and the servers' user may run it."""
    user = osuser.substitute()
    for program in map(need_binary, names):
        if user is not None and not osuser.reachable(program, user):
            raise CannotRun(
                f"{program} cannot be reached by {user.name}, who runs it for root",
                hint="Install its package, or run crmops as a plain user.",
            )


def need_repository(job: Job, *, make: bool = False) -> Path:
    """The provider's repository, which PostgreSQL's user must reach.

    With ``make`` it is created, closed to others.  Raises CannotRun when it is not to be had.
    """
    place, user = job.repository, osuser.substitute()
    hint = "Set backup.repository of the target to a directory that they can reach."
    if place is None:
        raise CannotRun("it is not known where backups are kept", hint=hint)
    try:
        if make and not place.exists():
            place.mkdir(mode=0o700, parents=True)
            osuser.give(place, user)
        reached = osuser.reachable(place, user)
    except OSError as error:
        raise CannotRun(f"{place} cannot be used: {error.strerror}", hint=hint) from error
    if not reached:
        who = user.name if user is not None else "us"
        raise CannotRun(f"{place} cannot be reached by {who}", hint=hint)
    return place


def hash_folders(root: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of every file in some folders below ``root``, by path relative to it."""
    return {
        f"{name}/{path}": digest
        for name in names
        for path, digest in hash_tree(root / name).items()
    }


def need_unaltered(
    manifest: Manifest, found: Mapping[str, str], report: Report | None = None
) -> None:
    """Raise CheckFailed unless every file is there and as it was backed up."""
    wrong = differences(manifest.files, found)
    if report is not None:
        report.check(
            "SHA-256 of every file", not wrong, wanted=f"{len(manifest.files)} files alike",
            found=f"{len(wrong)} differ", detail="; ".join(wrong[:5]),
        )  # fmt: skip
    if wrong:
        raise CheckFailed(f"the backup's files are damaged: {'; '.join(wrong[:5])}")


def in_catalogue(job: Job, provider: str) -> tuple[Stored, ...]:
    """What the catalogue has sealed of one provider, oldest first."""
    catalogue = Catalogue(job.backup.parent.parent, job.backup.parent.name)
    found = [each for each in catalogue.manifests() if each.provider == provider]
    return tuple(
        Stored(each.label, each.system_identifier, each.bytes, each.parents)
        for each in reversed(found)
    )
