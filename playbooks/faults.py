"""The faults that a drill must notice, each with how it is made and who must notice it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crmops.record import Kind, Verdict
from playbooks.catalogue import MANIFEST, read_manifest, write_manifest
from playbooks.encryption import make_keys
from playbooks.instance import alive
from playbooks.job import Job
from playbooks.judge import DRILL_STAGES
from playbooks.settings import Settings
from playbooks.source import write_service
from playbooks.stages.configure import write_settings
from playbooks.vault import encrypt_backup, keys_of, open_data


@dataclass(frozen=True, slots=True)
class Mutant:
    """A copy of a backup and of its archived log, to be damaged."""

    backup: Path
    archive: Path
    key: Path | None = None

    @property
    def identity(self) -> Path:
        """Where the key would lie that opens a copy encrypted for the purpose."""
        return self.backup.with_name("identity.txt")

    @property
    def data(self) -> Path:
        """The copied data directory."""
        return self.backup / "data"

    def table_file(self) -> Path:
        """The largest file of a table."""
        files = (each for each in (self.data / "base").rglob("*") if each.name.isdigit())
        return max(files, key=lambda each: each.stat().st_size)

    def segments(self) -> list[Path]:
        """The archived segments, in order."""
        return sorted(each for each in self.archive.iterdir() if len(each.name) == 24)

    def edit(self, **changes: object) -> None:
        """Change our manifest without its seal."""
        path = self.backup / MANIFEST
        found = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**found, **changes}), encoding="utf-8")

    def forge(self, **changes: object) -> None:
        """Change our manifest and seal it anew: what the outer checks cannot notice."""
        write_manifest(self.backup, read_manifest(self.backup).model_copy(update=changes), self.key)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    ``damage`` acts on the stored copy; ``tamper`` is SQL on the recovered instance; ``strike``
    acts on the running job, when the stage ``after`` has ended.  The stage ``killed`` is a process
    of its own that gets SIGKILL when it has begun; the stage ``full`` is one that can write no
    file beyond a MiB, as on a full disk.  ``kind`` tells whether a drill or a backup is tried.
    ``caught_by`` is the stage that must notice, or ``judge``.
    """

    name: str
    caught_by: str
    words: str
    verdict: Verdict = Verdict.FAIL
    damage: Callable[[Mutant], None] | None = None
    tamper: str = ""
    strike: Callable[[Job], None] | None = None
    after: str = "recover"
    killed: str = ""
    full: str = ""
    kind: Kind = Kind.DRILL
    settings: dict[str, Any] | None = None


def unlocked(job: Job, mutant: Mutant) -> None:
    """Damage is done to plaintext: decrypt a copy of an encrypted backup.  The control stays."""
    manifest = read_manifest(mutant.backup)
    if manifest.encrypted is None:
        return
    locked = mutant.backup.with_name("locked")
    mutant.backup.rename(locked)
    mutant.backup.mkdir(mode=0o700)
    open_data(locked, mutant.backup, manifest.encrypted, keys_of(job.settings))
    (locked / MANIFEST).rename(mutant.backup / MANIFEST)
    mutant.forge(encrypted=None)
    shutil.rmtree(locked)


def with_key(settings: Settings, mutant: Mutant) -> Settings:
    """The settings with the key that a fault may have encrypted the copy to."""
    backup = settings.backup.model_copy(update={"identity": mutant.identity})
    return settings.model_copy(update={"backup": backup})


def _encrypt(mutant: Mutant) -> None:
    """Encrypt the copy to two keys, the first of which the drill is given."""
    spare = mutant.identity.with_name("escrow.txt")
    recipients = (make_keys(mutant.identity), make_keys(spare))
    plain = mutant.backup.with_name("plain")
    mutant.backup.rename(plain)
    mutant.backup.mkdir(mode=0o700)
    encrypted = encrypt_backup(plain, mutant.backup, (), recipients)
    (plain / MANIFEST).rename(mutant.backup / MANIFEST)
    mutant.forge(encrypted=encrypted)
    shutil.rmtree(plain)


def _resign(mutant: Mutant) -> None:
    """What somebody would do who changes a backup and knows how manifests are sealed."""
    stranger = mutant.identity.with_name("stranger.pem")
    write_manifest(mutant.backup, read_manifest(mutant.backup), stranger)


def _wrong_key(mutant: Mutant) -> None:
    _encrypt(mutant)
    mutant.identity.unlink()
    make_keys(mutant.identity)


def _missing_key(mutant: Mutant) -> None:
    _encrypt(mutant)
    mutant.identity.unlink()


def _flip_ciphertext(mutant: Mutant) -> None:
    _encrypt(mutant)
    _flip(max(mutant.data.rglob("*.age"), key=lambda each: each.stat().st_size))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as stream:
        stream.truncate(size)


def _forge_digest(mutant: Mutant) -> None:
    contents = read_manifest(mutant.backup).contents
    if contents is None:
        return
    first, *rest = contents.tables
    wrong = first.model_copy(update={"digest": "1", "unlogged": False})
    mutant.forge(contents=contents.model_copy(update={"tables": (wrong, *rest)}))


def _kill_instance(job: Job) -> None:
    pid = int(job.facts("recover")["pid"])
    if alive(pid, job.data):
        os.kill(pid, signal.SIGKILL)


def _forge_policy(mutant: Mutant) -> None:
    """As if the source had had a policy that the copy lacks."""
    contents = read_manifest(mutant.backup).contents
    if contents is not None:
        lost = ("public", "crmops", "own_rows_only", "PERMISSIVE", "{public}", "ALL", "true", "")
        policies = (*contents.policies, lost)
        mutant.forge(contents=contents.model_copy(update={"policies": policies}))


def _lose_segment(job: Job) -> None:
    """The last staged segment, with the named instant, and what the backup has of it."""
    lost = max(each for each in job.wal.iterdir() if len(each.name) == 24)
    lost.unlink()
    (job.data / "pg_wal" / lost.name).unlink(missing_ok=True)


def _lose_segment_and_target(job: Job) -> None:
    _lose_segment(job)
    untold = {"recovery_target_name": "", "recovery_target_action": "promote"}
    write_settings(job, {**job.facts("configure")["settings"], **untold})


def _close_source(job: Job) -> None:
    write_service(job, {"host": str(job.scratch / "nowhere"), "user": "crmops", "dbname": "crm"})


_SPARE_ROLE = """do $do$ declare spare text; begin
select rolname into strict spare from pg_roles r where rolname !~ '^pg_' and not rolsuper
and not exists (select from pg_class where relowner = r.oid) order by 1 limit 1;
execute format('drop owned by %1$I; drop role %1$I', spare); end $do$"""
_LARGEST = """(select format('%I.%I', n.nspname, c.relname) from pg_class c
join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and c.reltuples > 0
and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by pg_relation_size(c.oid) desc, 1 limit 1)"""


def _on_largest(statement: str) -> str:
    """SQL that does something to the largest table; ``%1$s`` is its name."""
    quoted = statement.replace("'", "''")
    return (
        "do $do$ begin set local session_replication_role = 'replica'; "
        f"execute format('{quoted}', {_LARGEST}); end $do$"
    )


CATALOGUE: tuple[Fault, ...] = (
    Fault("data file truncated", "verify_backup", "has changed",
          damage=lambda m: _cut(m.table_file(), 8192)),
    Fault("one byte flipped", "verify_backup", "has changed",
          damage=lambda m: _flip(m.table_file())),
    Fault("table file missing", "verify_backup", "is missing",
          damage=lambda m: m.table_file().unlink()),
    Fault("backup_label missing", "verify_backup", "backup_label is missing",
          damage=lambda m: (m.data / "backup_label").unlink()),
    Fault("PG_VERSION wrong", "verify_backup", "PG_VERSION has changed",
          damage=lambda m: _cut(m.data / "PG_VERSION", 0)),
    Fault("PostgreSQL's manifest edited", "verify_backup", "backup_manifest has changed",
          damage=lambda m: _flip(m.data / "backup_manifest")),
    Fault("a file that was not backed up", "verify_backup", "was not backed up",
          damage=lambda m: (m.data / "base" / "intruder").touch()),
    Fault("our manifest edited", "fetch", "its seal does not match",
          damage=lambda m: m.edit(point="elsewhere")),
    Fault("our manifest cut", "fetch", "it does not read",
          damage=lambda m: _cut(m.backup / MANIFEST, 500)),
    Fault("first segment missing", "fetch", "is missing",
          damage=lambda m: m.segments()[0].unlink()),
    Fault("last segment missing", "fetch", "is missing",
          damage=lambda m: m.segments()[-1].unlink()),
    Fault("segment truncated", "fetch", "has 4096 bytes",
          damage=lambda m: _cut(m.segments()[0], 4096)),
    Fault("segment altered", "fetch", "not the one that was archived",
          damage=lambda m: _flip(m.segments()[0])),
    Fault("wrong timeline", "fetch", "is missing",
          damage=lambda m: m.forge(timeline=5)),
    Fault("wrong key", "fetch", "encrypted to other keys", damage=_wrong_key),
    Fault("missing key", "fetch", "cannot be read", Verdict.ERROR, damage=_missing_key),
    Fault("flipped byte in ciphertext", "fetch", "it cannot be decrypted",
          damage=_flip_ciphertext),
    Fault("manifest signed by another", "fetch", "the manifest was signed by",
          damage=_resign),
    Fault("no room for the copy", "fetch", "the drill needs", Verdict.ERROR,
          damage=lambda m: m.forge(bytes=1 << 60)),
    Fault("another system's backup", "verify_backup", "is of another system",
          damage=lambda m: m.forge(system_identifier="1")),
    Fault("another version's backup", "verify_backup", "is needed to restore",
          damage=lambda m: m.forge(major=9)),
    Fault("segment lost after fetching", "recover", "before configured recovery target was reached",
          strike=_lose_segment, after="fetch"),
    Fault("segment lost, and no target", "recover", "not at the backup's named instant",
          strike=_lose_segment_and_target, after="configure"),
    Fault("target that never was", "recover", "before configured recovery target was reached",
          damage=lambda m: m.forge(point="a_point_that_never_was")),
    Fault("wrong database", "compare", "has no database",
          damage=lambda m: m.forge(database="crmops_no_such_database")),
    Fault("contents unlike the manifest's", "compare", "tables:",
          damage=_forge_digest),
    Fault("a row lost", "compare", "rows, had",
          tamper=_on_largest("delete from %1$s where ctid = (select min(ctid) from %1$s)")),
    Fault("a table emptied", "compare", "has 0 rows, had",
          tamper=_on_largest("truncate %1$s cascade")),
    Fault("a table dropped", "compare", "is missing",
          tamper=_on_largest("drop table %1$s cascade")),
    Fault("a policy added", "compare", "policies:",
          tamper=_on_largest("create policy crmops_intruder on %1$s using (true)")),
    Fault("a policy dropped", "compare", "policies:", damage=_forge_policy),
    Fault("a role dropped", "compare", "is lost or changed", tamper=_SPARE_ROLE),
    Fault("a role added", "compare", "crmops_intruder",
          tamper="create role crmops_intruder superuser login"),
    Fault("a grant changed", "compare", "grant",
          tamper=_on_largest("grant all on %1$s to public")),
    Fault("stale backup", "judge", "rpo is", settings={"rpo_objective": 0.001}),
    Fault("too slow", "judge", "rto is", settings={"rto_objective": 0.001}),
    Fault("too few rows", "judge", "rows.restored is", settings={"minimum_rows": 1 << 40}),
    Fault("instance killed", "compare", "the restored instance was killed", Verdict.ERROR,
          strike=_kill_instance),
    Fault("disk full while fetching", "fetch", "File too large", Verdict.ERROR, full="fetch"),
    Fault("disk full while recovering", "recover", "ran out of room", Verdict.ERROR,
          full="recover"),
    Fault("source unreachable (backup)", "source_check", "does not let us in", Verdict.ERROR,
          strike=_close_source, after="", kind=Kind.BACKUP),
    *(Fault(f"process killed: {each}", "judge", f"killed before stage {each} ended",
            Verdict.ERROR, killed=each) for each in DRILL_STAGES),
)  # fmt: skip
"""Every fault; the undamaged control is not one of them."""
