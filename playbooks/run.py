"""Taking a backup, and proving that one can be restored."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from crmops.errors import AlreadyRunning, UsageError
from crmops.execute import Execution, executing
from crmops.history import History
from crmops.record import Kind, Run, utc_now
from crmops.target import Target
from playbooks import osuser
from playbooks.catalogue import Catalogue
from playbooks.evidence import write_evidence
from playbooks.interlocks import check_place
from playbooks.job import Job
from playbooks.judge import Finished, conclude, measures_of
from playbooks.leftovers import make_scratch, own, scratch_name, sweep, tear_down
from playbooks.newest import newest_moment
from playbooks.people import choose_people, write_people
from playbooks.postgres import find_binaries
from playbooks.providers import (
    check_provider,
    need_files,
    need_postgresql,
    provider_of,
    providers,
    taken_by,
)
from playbooks.prune import remove_backups
from playbooks.retention import going
from playbooks.runner import Event, Player, run_playbook
from playbooks.settings import Settings
from playbooks.source import source_address
from playbooks.standards import load_standards
from playbooks.vault import check_vault

Say = Callable[[str], None]

_here: dict[str, threading.Lock] = {}
"""A claim of the history tells processes apart, not the threads of one server."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where backups and drills of one target happen.

    ``say`` gets progress, a line each; ``player`` carries playbooks out; ``offsite`` takes the
    second copies of the backups.
    """

    target: Target
    settings: Settings
    history: History
    state: Path
    config_digest: str = ""
    say: Say = field(default=lambda _line: None)
    player: Player = run_playbook
    offsite: bool = False

    @property
    def catalogue(self) -> Catalogue:
        """The target's backups, or their second copies."""
        if self.offsite and self.settings.backup.offsite is not None:
            return Catalogue(self.settings.backup.offsite, self.target.name)
        configured = self.settings.directory
        directory = Path(configured).absolute() if configured else self.state / "backups"
        return Catalogue(directory, self.target.name)

    @property
    def signing_key(self) -> Path:
        """The key that signs evidence."""
        configured = self.settings.signing_key
        return Path(configured).absolute() if configured else self.state / "keys" / "evidence.pem"

    @property
    def jobs(self) -> Path:
        """Folders of the jobs that go on, and of those that were killed."""
        return self.state / "jobs" / self.target.name


def signed_by(room: Room, operator: str = "", approver: str = "") -> Room:
    """The room with the names of those who ask for and approve this one drill, where given."""
    named = {"operator": operator, "approver": approver}
    changes = {name: each for name, each in named.items() if each}
    return replace(room, settings=room.settings.model_copy(update=changes))


def opened_with(room: Room, identity: Path | None) -> Room:
    """The room with another key to decrypt with, such as the one from escrow, where given."""
    if identity is None:
        return room
    backup = room.settings.backup.model_copy(update={"identity": identity.absolute()})
    return replace(room, settings=room.settings.model_copy(update={"backup": backup}))


def back_up(room: Room, *, incremental: bool = False) -> Run:
    """Take, verify and seal one backup of the target's database.

    An ``incremental`` one rests upon the newest that there is; without any it is a full one.

    The verdict is about this backup; ``error`` means that there is none.  Raises CrmopsError
    when it could not begin; a Run that began is recorded whatever happens.
    """
    if incremental and room.settings.backup.encrypt_to:
        raise UsageError(
            "an incremental backup rests upon files that are encrypted",
            hint="Leave out --incremental, or drills.backup.encrypt_to.",
        )
    with alone(room), executing_in(room, Kind.BACKUP, "database") as execution:
        address, engine = source_address(room.target), check_provider(room.target).engine
        place = room.catalogue.place(execution.id)
        job = make_job(room, execution, place, engine.major(address))
        job = job.model_copy(update={"incremental": incremental})
        with prepared(job) as ready:
            engine.introduce(ready, address)
            finished = play_in(room, execution, ready, "backup.yml", "pg_backup")
            _judge(room, execution, finished)
        _thin_out(room, execution)
    return execution.run


def drill(room: Room, backup: str = "latest") -> Run:
    """Restore a backup (an id, ``latest`` or ``oldest``) in isolation and judge what came back.

    Nothing is read from or written to the source; its archive is read.  Raises CrmopsError when
    it could not begin, for example because there is no backup.
    """
    with alone(room), executing_in(room, Kind.DRILL, "restore") as execution:
        chosen = room.catalogue.choose(backup)
        job = make_job(room, execution, room.catalogue.place(chosen))
        _restore(room, execution, job, "restore_drill.yml")
    return execution.run


def drill_to(room: Room, moment: datetime, backup: str = "latest") -> Run:
    """Restore to a point in time: from the newest backup before it, or from a named one.

    On the way the copy pauses at the backup's named instant, where its contents are compared.
    Recovery ends at the last commit up to ``moment``; the log must hold a later one, else nobody
    could tell that none is missing.  Raises UsageError for a moment that no backup reaches.
    """
    _need_archive(room)
    with alone(room), executing_in(room, Kind.DRILL, "point-in-time") as execution:
        chosen = room.catalogue.choose_before(moment, backup)
        _advance_to(room, execution, chosen, moment, moment)
    return execution.run


def drill_forward(room: Room, backup: str = "latest") -> Run:
    """Restore as much as the archive holds after a backup; RPO is what a loss now would cost.

    As :func:`drill_to`, to the newest moment that can be proved.  Raises CannotRun when the
    archive reaches no further than the backup.
    """
    _need_archive(room)
    with alone(room), executing_in(room, Kind.DRILL, "point-in-time") as execution:
        incident = utc_now()
        chosen = room.catalogue.choose(backup)
        access, manifest = room.target.database, room.catalogue.read(chosen)
        need_files(manifest, "--to newest")
        moment = newest_moment(
            manifest,
            Path(access.archive_directory if access else ""),
            find_binaries(access.binaries if access else "", manifest.major),
        )
        _advance_to(room, execution, chosen, moment, incident)
    return execution.run


def rehearse_failover(room: Room, backup: str = "latest") -> Run:
    """Restore a backup, give the copy a standby, kill the copy while it is used, and measure.

    The source and its own standbys take no part.  Raises CannotRun when it could not begin.
    """
    with alone(room), executing_in(room, Kind.DRILL, "failover") as execution:
        chosen = room.catalogue.choose(backup)
        job = make_job(room, execution, room.catalogue.place(chosen))
        need_postgresql(job, "drill failover")
        with prepared(job) as ready:
            played = play_in(room, execution, ready, "failover_rehearsal.yml", "pg_restore")
            _judge(room, execution, replace(played, failover=True))
    return execution.run


def _need_archive(room: Room) -> None:
    """Raise UsageError for a moment that a second copy cannot reach."""
    if room.offsite:
        raise UsageError(
            "the second copy has the log up to its backup's own instant only",
            hint="Leave --to away, or --from.",
        )


def _advance_to(
    room: Room, execution: Execution, chosen: str, moment: datetime, incident: datetime
) -> None:
    job = make_job(room, execution, room.catalogue.place(chosen)).model_copy(
        update={"to": moment, "incident": incident}
    )
    _restore(room, execution, job, "pitr_drill.yml")


def _restore(room: Room, execution: Execution, job: Job, playbook: str) -> None:
    choose_people(room.target, room.settings.smoke.journeys)  # before anything is touched
    with prepared(job) as ready:
        write_people(ready, room.target)
        finished = play_in(room, execution, ready, playbook, "pg_restore")
        _judge(room, execution, finished)


@contextmanager
def executing_in(room: Room, kind: Kind, subject: str) -> Iterator[Execution]:
    """A Run of the room, begun after what killed ones left has been removed."""
    found = executing(
        room.history, kind, room.target.name, subject, config_digest=room.config_digest
    )
    with found as execution:
        for each in sweep(room.jobs):
            execution.finding(
                "a killed run was cleaned up",
                f"{each.job_id}: {each.processes} processes ended, {each.scratch} removed; "
                f"stage under way: {each.stage or 'none'}",
                severity="info",
            )
        yield execution


@contextmanager
def alone(room: Room) -> Iterator[None]:
    """One backup or drill of a target at a time; what was killed before is recorded first.

    Raises AlreadyRunning, and ConfigError when the evidence could not be written in the end.
    """
    load_standards(room.settings.standards)
    check_vault(room.settings, room.target.backup.provider)
    room.history.reap()
    claim = f"playbooks/{room.target.name}"
    ours = _here.setdefault(str(room.jobs), threading.Lock())
    if not ours.acquire(blocking=False):
        raise _running(room)
    try:
        if not room.history.claim(claim, timedelta(seconds=room.settings.timeout)):
            raise _running(room)
        try:
            yield
        finally:
            room.history.release(claim)
    finally:
        ours.release()


def _running(room: Room) -> AlreadyRunning:
    return AlreadyRunning(
        f"a backup or drill of {room.target.name} is running",
        hint="Wait until it has ended: two at once would disturb each other's times.",
    )


def make_job(room: Room, execution: Execution, backup: Path, major: int | None = None) -> Job:
    """The job of a Run, not prepared yet.

    A backup is brought back by the provider that took it, and by programs of its version.  Raises
    ConfigError for an unknown provider, CannotRun without PostgreSQL's programs.
    """
    access = room.target.database
    archive = access.archive_directory if access else ""
    provider, major = taken_by(backup, check_provider(room.target).name, major)
    kept = room.target.backup.repository
    scratch = Path(room.settings.scratch or gettempdir()).resolve()
    return Job(
        id=execution.id,
        target=room.target.name,
        folder=room.jobs.absolute() / execution.id,
        scratch=scratch / scratch_name(execution.id),
        backup=backup.absolute(),
        archive=Path(archive).absolute() if archive else None,
        source_data=access.data_directory if access else "",
        provider=provider,
        repository=Path(kept).absolute() if kept else default_repository(room, provider),
        stanza=room.target.backup.stanza or room.target.name,
        **_attachments(room),
        binaries=providers()[provider].engine.binaries(access, major),
        incident=utc_now(),
        signing_key=room.signing_key,
        offsite=room.offsite,
        settings=room.settings,
    )


def _attachments(room: Room) -> dict[str, Any]:
    files = room.target.backup.files
    kept, password = files.repository, files.password_file
    return {
        "files": tuple(Path(each).absolute() for each in files.paths),
        "files_repository": Path(kept).absolute() if kept else default_repository(room, "restic"),
        "files_password": Path(password).absolute() if password else None,
    }


def default_repository(room: Room, provider: str) -> Path:
    """Where a provider with a repository of its own keeps it, beside the target's backups."""
    folder = replace(room, offsite=False).catalogue.folder.absolute()
    return folder.with_name(f"{folder.name}.{provider}")


@contextmanager
def prepared(job: Job) -> Iterator[Job]:
    """The job's folder and scratch directory, removed afterwards with every process in them."""
    check_place(job)
    own(job)
    job.save()  # first: a scratch directory whose path nobody knows would never be found
    try:
        make_scratch(job)
        ready = _give_binaries(job)
        ready.save()
        yield ready
    finally:
        tear_down(job)
        shutil.rmtree(job.partial, ignore_errors=True)
        shutil.rmtree(job.folder, ignore_errors=True)


def _give_binaries(job: Job) -> Job:
    """PostgreSQL's user gets the scratch directory, and programs that it can reach."""
    osuser.give_tree(job.scratch, osuser.substitute())
    return provider_of(job).engine.reachable(job)


def play_in(room: Room, execution: Execution, job: Job, playbook: str, role: str) -> Finished:
    def progress(event: Event) -> None:
        execution.beat()
        if event.what in ("ok", "failed") and not event.task.startswith("Validating arguments"):
            room.say(f"{event.what:7} {event.seconds or 0.0:6.1f} s  {event.task}")

    ending = room.player(job, playbook, role, progress)
    return Finished(job, ending, job.stages())


def _judge(room: Room, execution: Execution, finished: Finished) -> None:
    execution.measures(*measures_of(execution.run.kind, finished))
    judgement = conclude(execution, room.settings, finished)
    write_evidence(
        execution,
        finished,
        judgement,
        settings=room.settings,
        history=room.history,
        key=room.signing_key,
    )


def _thin_out(room: Room, execution: Execution) -> None:
    """Forget old backups, and only once a newer one has passed."""
    if execution.run.verdict != "pass":
        return
    for each in removable(room):
        remove_backups(room.catalogue, [each], execution.id, "after a newer backup")
        execution.finding("an old backup was removed", each, severity="info")


def removable(room: Room) -> list[str]:
    """The backups that retention would remove now, oldest first.  Damaged ones are left alone."""
    return going(room.catalogue, room.settings)
