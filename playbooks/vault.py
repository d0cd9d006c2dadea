"""Closing a backup and opening it again: the signature, and the encryption if there is one.

What is encrypted lies as ``data/**.age`` and ``wal/**.age``: the log comes along, so that the
folder alone is a whole backup.  A drill works on an opened copy in its scratch directory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from crmops.errors import CannotRun, ConfigError, CrmopsError
from playbooks import osuser
from playbooks.catalogue import MANIFEST, Encrypted, Manifest
from playbooks.encryption import (
    SUFFIX,
    Keys,
    decrypt_tree,
    encrypt_file,
    encrypt_tree,
    keys_in,
    open_file,
    recipients_of,
)
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.report import Report
from playbooks.settings import Settings
from playbooks.vouch import require_signature, trusted_key

KEPT_HERE = frozenset({"postgresql", "mariadb"})
"""Providers whose backups are files in the catalogue."""

OPENED = "opened"
"""Directory, in scratch, of what was decrypted."""


def check_vault(settings: Settings, provider: str) -> None:
    """Raise ConfigError or CannotRun, before anything is touched, for keys that cannot be used."""
    if recipients_of(settings.backup.encrypt_to) and provider not in KEPT_HERE:
        raise ConfigError(
            f"drills.backup.encrypt_to does not reach what provider {provider!r} keeps",
            hint="It has a repository of its own: take encrypt_to away, and keep that repository "
            "on storage that encrypts.",
        )
    if settings.backup.trusted_key:
        trusted_key(None, settings.backup.trusted_key)


def hindrances(manifest: Manifest, settings: Settings) -> list[str]:
    """What would keep a drill from opening a backup, as lines for a person."""
    if manifest.encrypted is None:
        return []
    try:
        keys = keys_of(settings)
    except CrmopsError as error:
        return [error.message]
    if not set(keys.recipients) & set(manifest.encrypted.recipients):
        return [f"the backup is encrypted to other keys than those in {keys.path}"]
    return []


def need_kept_here(manifest: Manifest) -> None:
    """Raise CannotRun for a backup that lies in a repository of its provider's."""
    if manifest.provider not in KEPT_HERE:
        raise CannotRun(
            f"the backup lies in the repository of provider {manifest.provider!r}",
            hint="Use the provider's own verification, and a second repository of its kind.",
        )


def encrypt_backup(
    source: Path, target: Path, segments: Iterable[Path], recipients: tuple[str, ...]
) -> Encrypted:
    """Encrypt ``source/data`` and the log that belongs to it into the folder ``target``."""
    (target / "wal").mkdir(mode=0o700)
    found = encrypt_tree(source / "data", target / "data", recipients)
    files = {f"data/{name}{SUFFIX}": each.cipher for name, each in found.items()}
    for each in segments:
        name = f"wal/{each.name}{SUFFIX}"
        files[name] = encrypt_file(each, target / name, recipients).cipher
    return Encrypted(recipients=recipients, files=files)


def check_signature(job: Job, manifest: Manifest, report: Report) -> None:
    """Raises CheckFailed unless the key that is trusted vouches for the manifest."""
    trusted = trusted_key(job.signing_key, job.settings.backup.trusted_key)
    signer = require_signature(manifest.seal, manifest.signature, trusted)
    report.check("signature", True, wanted=signer, found=signer)


def opened(job: Job, manifest: Manifest, report: Report) -> Job:
    """The job with a backup, and a log, in plaintext: the same job when nothing is encrypted.

    Raises CheckFailed when the key does not open the backup or a file is damaged, CannotRun when
    there is no key.  What was decrypted lies in scratch and goes with it.
    """
    if manifest.encrypted is None:
        own_log = job.backup / "wal"
        return job.model_copy(update={"archive": own_log}) if job.offsite else job
    keys = keys_of(job.settings)
    place = job.scratch / OPENED / job.backup.name
    place.mkdir(mode=0o700, parents=True)
    open_data(job.backup, place, manifest.encrypted, keys)
    shutil.copyfile(job.backup / MANIFEST, place / MANIFEST)
    changes: dict[str, object] = {"backup": place}
    if job.offsite:
        changes["archive"] = open_log(job.backup, place / "wal", manifest.encrypted, keys)
    osuser.give_tree(job.scratch / OPENED, osuser.substitute())
    fitting = [each for each in keys.recipients if each in manifest.encrypted.recipients]
    report.check("encryption", True, wanted="opens with the key", found="opened")
    report.fact(opened_with=fitting or ["another key"], encrypted_to=manifest.encrypted.recipients)
    return job.model_copy(update=changes)


def keys_of(settings: Settings) -> Keys:
    """The keys that drills decrypt with.  Raises ConfigError when none is configured."""
    if settings.backup.identity is None:
        raise ConfigError(
            "the backup is encrypted, and no key was named to open it",
            hint="Set drills.backup.identity, or give --identity FILE.",
        )
    return keys_in(settings.backup.identity)


def open_data(folder: Path, place: Path, encrypted: Encrypted, keys: Keys) -> int:
    """Decrypt the data of a backup into ``place/data``; bytes of plaintext."""
    wanted = below("data", encrypted)
    found = {str(each.relative_to(folder / "data")) for each in _ciphertexts(folder / "data")}
    strange = sorted(found - wanted.keys())
    if strange:
        raise CheckFailed(f"{strange[0]} was not backed up")
    return decrypt_tree(folder / "data", place / "data", keys, wanted)


def open_log(folder: Path, place: Path, encrypted: Encrypted, keys: Keys) -> Path:
    """Decrypt the log that came along with a backup; where it lies then."""
    place.mkdir(mode=0o700, exist_ok=True)
    for name, wanted in below("wal", encrypted).items():
        open_file(folder / "wal" / name, place / name.removesuffix(SUFFIX), keys, wanted)
    return place


def below(folder: str, encrypted: Encrypted) -> dict[str, str]:
    """The ciphertexts below ``data`` or ``wal``, by their path there."""
    start = f"{folder}/"
    return {
        name.removeprefix(start): digest
        for name, digest in encrypted.files.items()
        if name.startswith(start)
    }


def _ciphertexts(root: Path) -> Iterable[Path]:
    return (each for each in root.rglob("*") if each.is_file())
