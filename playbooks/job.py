"""What a playbook is asked to do, and what its stages found.

A job is a folder of mode 0700 below the state directory, named after its Run:

    job.json            what is asked; holds paths, never secrets
    stages/NN-name.json one record a stage, written when it ended
    journal             a line when a stage begins, and one when it has ended

The scratch directory lies elsewhere (PostgreSQL's user must reach it) and bears a marker file
with the job's id.  Both are removed at the end; what a killed run left is found by its job
folder, see :mod:`playbooks.leftovers`.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from crmops.errors import CannotRun
from playbooks.settings import Settings

MARKER = ".crmops-scratch"
"""Name of the file, in a scratch directory, that holds the id of the job it belongs to."""

JOB_VARIABLE = "CRMOPS_JOB"
"""Variable in every child's environment: the id of the job it belongs to."""

STAGE_TMPDIR = "CRMOPS_STAGE_TMPDIR"
"""Variable in a playbook's environment: what its stages have as TMPDIR; none if it is empty."""


class Outcome(StrEnum):
    """How a check or a stage ended: ``fail`` is about the backup, ``error`` about us."""

    OK = "ok"
    FAIL = "fail"
    ERROR = "error"


class Check(BaseModel):
    """One thing that was compared: what was wanted, what was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    passed: bool
    wanted: str = ""
    found: str = ""
    detail: str = ""


class Stage(BaseModel):
    """One stage that ended.  ``begun`` is UTC; ``tick`` is the host's steady clock in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    begun: AwareDatetime
    tick: float
    seconds: float
    outcome: Outcome
    reason: str = ""
    hint: str = ""
    checks: tuple[Check, ...] = ()
    facts: dict[str, Any] = Field(default_factory=dict)


class Job(BaseModel):
    """What is asked of a playbook.  All paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    target: str
    folder: Path
    scratch: Path
    backup: Path = Field(description="where the backup is to lie, or the one to restore")
    archive: Path | None = None
    provider: str = "postgresql"
    repository: Path | None = Field(default=None, description="where the provider keeps backups")
    incremental: bool = Field(default=False, description="only what changed since the last backup")
    files: tuple[Path, ...] = Field(default=(), description="attachments and the like")
    files_repository: Path | None = Field(default=None, description="restic's repository")
    files_password: Path | None = Field(default=None, description="file with its password")
    stanza: str = Field(default="", description="what the provider calls the source")
    source_data: str = Field(default="", description="the live data directory: never touched")
    binaries: Path
    incident: AwareDatetime = Field(description="when the loss is supposed to have happened")
    to: AwareDatetime | None = Field(default=None, description="recover to this moment")
    signing_key: Path | None = Field(default=None, description="what seals a backup")
    offsite: bool = Field(default=False, description="the backup is the second copy")
    asked: dict[str, Any] = Field(default_factory=dict, description="what else a playbook needs")
    settings: Settings = Settings()

    @property
    def data(self) -> Path:
        """The data directory of the copy."""
        return self.scratch / "data"

    @property
    def partial(self) -> Path:
        """Where a backup lies until it is sealed."""
        return self.backup.with_name(f".{self.id}.partial")

    @property
    def sockets(self) -> Path:
        """Where the scratch instance listens, and nowhere else."""
        return self.scratch / "s"

    @property
    def wal(self) -> Path:
        """Where the write-ahead log is staged that the copy recovers from."""
        return self.scratch / "wal"

    @property
    def services(self) -> Path:
        """libpq's service file: the one place with the source's password, mode 0600."""
        return self.scratch / "service.conf"

    def save(self) -> Path:
        """Write job.json, readable for this user only; returns its path."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "stages").mkdir(exist_ok=True)
        path = self.folder / "job.json"
        write_atomically(path, self.model_dump_json(indent=1))
        return path

    @property
    def journal(self) -> Path:
        """Which stages began and ended, so that a killed run can tell where it was."""
        return self.folder / "journal"

    def begin(self, stage: str) -> None:
        """Note that a stage begins, before it does anything."""
        self._note("begin", stage)

    def add(self, stage: Stage) -> None:
        """Keep the record of a stage that ended."""
        number = len(list((self.folder / "stages").iterdir())) + 1
        path = self.folder / "stages" / f"{number:02d}-{stage.name}.json"
        write_atomically(path, stage.model_dump_json(indent=1))
        self._note(stage.outcome.value, stage.name)

    def underway(self) -> str:
        """The stage that began and has not ended, or nothing."""
        try:
            lines = self.journal.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return ""
        word, _, stage = lines[-1].partition(" ") if lines else ("", "", "")
        return stage if word == "begin" else ""

    def _note(self, word: str, stage: str) -> None:
        with self.journal.open("a", encoding="utf-8") as stream:
            stream.write(f"{word} {stage}\n")
            stream.flush()
            os.fsync(stream.fileno())

    def stages(self) -> tuple[Stage, ...]:
        """The stages that ended, in order."""
        folder = self.folder / "stages"
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        return tuple(Stage.model_validate_json(each.read_bytes()) for each in files)

    def facts(self, stage: str) -> dict[str, Any]:
        """What an earlier stage found.  Raises CannotRun if it did not run."""
        for each in self.stages():
            if each.name == stage and each.outcome is Outcome.OK:
                return each.facts
        raise CannotRun(f"stage {stage} has not run, but a later one needs it")


def load_job(path: Path) -> Job:
    """Read job.json.  Raises CannotRun if it is not one."""
    try:
        return Job.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CannotRun(f"{path} is not a job: {type(error).__name__}") from None


def load_remains(path: Path) -> Job:
    """Read job.json of a killed run for what tidying up needs: another crmops may have written it.

    Settings and fields that this version does not know are left out.  Raises CannotRun.
    """
    try:
        found = json.loads(path.read_bytes())
        known = set(Job.model_fields) - {"settings"}
        return Job.model_validate({name: found[name] for name in known if name in found})
    except (OSError, ValueError, TypeError) as error:
        raise CannotRun(f"{path} is not a job: {type(error).__name__}") from None


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write beside the name, sync, rename: a reader sees the whole or nothing."""
    partial = path.with_name(f".{path.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(path)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: the same value is always the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse_time(text: str) -> datetime:
    """An aware moment from ISO 8601 text."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment
