"""Backups encrypted with age, to two recipients or more: one key may be lost.

Everything streams: no file is held in memory.  A file appears under its name only when it is
whole: age finds damage in the middle of a file, when half of the plaintext is written already.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyrage

from crmops.errors import CannotRun, ConfigError
from playbooks.errors import CheckFailed
from playbooks.tree import files_of

SUFFIX = ".age"
LEAST_RECIPIENTS = 2
_KEY = "AGE-SECRET-KEY-1"
_THREADS = 2
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Hashed:
    """SHA-256 of a file before and after, and the bytes of its plaintext."""

    plain: str
    cipher: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Keys:
    """The private keys of one identity file, and the recipients that they stand for."""

    path: Path
    identities: tuple[pyrage.x25519.Identity, ...]
    recipients: tuple[str, ...]


def recipients_of(named: Sequence[str]) -> tuple[str, ...]:
    """The recipients (``age1...``) that a setting names, those in files included.

    Nothing named is no encryption.  Raises ConfigError for fewer than two different ones, for a
    file that cannot be read and for what is no recipient.
    """
    for each in named:
        _refuse_private(each)
    found = dict.fromkeys(
        line for each in named for line in ([each] if each.startswith("age1") else _lines(each))
    )
    for each in found:
        _recipient(each)
    if named and len(found) < LEAST_RECIPIENTS:
        raise ConfigError(
            f"drills.backup.encrypt_to names {len(found)} recipient"
            f"{'' if len(found) == 1 else 's'}; at least {LEAST_RECIPIENTS} are needed",
            hint="Add a second one whose key lies in escrow: when the first is lost, every backup "
            "would be.",
        )
    return tuple(found)


def keys_in(path: Path) -> Keys:
    """The keys of an identity file.

    Raises CannotRun when it is missing, not readable or holds no key, ConfigError when others
    may read it.  No message ever holds a part of a key.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CannotRun(
            f"the identity file {path} cannot be read: {reason}",
            hint="Set drills.backup.identity, or give --identity FILE.",
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"the identity file {path} may be read by others (mode {stat.S_IMODE(mode):04o})",
            hint=f"Run: chmod 600 {path}",
        )
    texts = [each.strip() for each in lines if each.strip() and not each.startswith("#")]
    try:
        found = tuple(pyrage.x25519.Identity.from_str(each) for each in texts)
    except pyrage.IdentityError:
        found = ()
    if not found:
        raise CannotRun(
            f"the identity file {path} holds no age key",
            hint=f"It has a line that begins with {_KEY}; age-keygen or crmops backup keygen "
            "makes one.",
        )
    return Keys(path, found, tuple(str(each.to_public()) for each in found))


def make_keys(path: Path) -> str:
    """Write a new identity file of mode 0600 and return its recipient.  Raises CannotRun."""
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CannotRun(
            f"{path} cannot be written: {error.strerror}",
            hint="Name a file that does not exist yet: a key is never written over.",
        ) from None
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(f"# public key: {recipient}\n{identity}\n")
        stream.flush()
        os.fsync(stream.fileno())
    return recipient


def encrypt_file(source: Path, target: Path, recipients: Iterable[str]) -> Hashed:
    """Encrypt a file.  ``target`` is there only when it is whole."""
    to = [_recipient(each) for each in recipients]
    return _transform(source, target, lambda reader, writer: _encrypt(reader, writer, to))


def decrypt_file(source: Path, target: Path, keys: Keys) -> Hashed:
    """Decrypt a file.  Raises CheckFailed when no key opens it or when it is damaged.

    ``target`` is there only when the whole file was authentic; nothing of it stays otherwise.
    """
    identities = list(keys.identities)
    found = _transform(source, target, lambda reader, writer: _decrypt(reader, writer, identities))
    return Hashed(plain=found.cipher, cipher=found.plain, bytes=target.stat().st_size)


def encrypt_tree(source: Path, target: Path, recipients: Sequence[str]) -> dict[str, Hashed]:
    """Encrypt every file below ``source`` into the same tree, ``.age`` added to each name."""
    _mirror(source, target)
    names = sorted(str(each) for each in files_of(source))

    def one(name: str) -> Hashed:
        return encrypt_file(source / name, target / f"{name}{SUFFIX}", recipients)

    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def decrypt_tree(source: Path, target: Path, keys: Keys, wanted: dict[str, str]) -> int:
    """Decrypt a tree of ``.age`` files; bytes of plaintext.

    ``wanted`` is the SHA-256 of each ciphertext by its name below ``source``.  Raises CheckFailed
    at the first file that is missing, altered or closed to the keys.
    """
    _mirror(source, target)

    def one(name: str) -> int:
        found = open_file(source / name, target / name.removesuffix(SUFFIX), keys, wanted[name])
        return found.bytes

    with ThreadPoolExecutor(_THREADS) as pool:
        return sum(pool.map(one, sorted(wanted)))


def open_file(source: Path, target: Path, keys: Keys, wanted: str) -> Hashed:
    """Decrypt one file whose ciphertext must have a SHA-256; CheckFailed otherwise."""
    if not source.is_file():
        raise CheckFailed(f"{source.name} is missing from the encrypted backup")
    found = decrypt_file(source, target, keys)
    if found.cipher != wanted:
        target.unlink()
        raise CheckFailed(f"{source.name} is not the one that was encrypted")
    return found


class _Reader:
    """Hands a file out to age, counting and hashing what passes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        found = self._stream.read(size)
        self.digest.update(found)
        self.bytes += len(found)
        return found


class _Writer:
    """Takes what age gives, hashing what passes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self._stream.write(content)

    def flush(self) -> None:
        self._stream.flush()


def _transform(source: Path, target: Path, action: Callable[[_Reader, _Writer], None]) -> Hashed:
    partial = target.with_name(f".{target.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with source.open("rb") as read, os.fdopen(handle, "wb", _CHUNK) as write:
            reader, writer = _Reader(read), _Writer(write)
            action(reader, writer)
            _drain(reader)
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return Hashed(reader.digest.hexdigest(), writer.digest.hexdigest(), reader.bytes)


def _drain(reader: _Reader) -> None:
    """What follows an age file is not authentic, but its SHA-256 must tell."""
    while reader.read(_CHUNK):
        continue


def _encrypt(reader: _Reader, writer: _Writer, to: list[pyrage.x25519.Recipient]) -> None:
    pyrage.encrypt_io(reader, writer, to)


def _decrypt(reader: _Reader, writer: _Writer, identities: list[pyrage.x25519.Identity]) -> None:
    try:
        pyrage.decrypt_io(reader, writer, identities)
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise CheckFailed("the backup is encrypted to other keys than the one given") from None
        raise CheckFailed("the encrypted backup is damaged: it cannot be decrypted") from None
    except OSError as error:
        if error.errno is not None:  # the disk's own word; age has no number for its errors
            raise
        raise CheckFailed("the encrypted backup is damaged: it cannot be decrypted") from None


def _mirror(source: Path, target: Path) -> None:
    """The same directories, empty ones too: PostgreSQL does not start without them."""
    for folder, names, _ in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(mode=0o700, exist_ok=True)
        for each in names:
            if Path(folder, each).is_symlink():
                raise CannotRun(
                    f"{folder}/{each} is a symbolic link: tablespaces are not supported"
                )


def _lines(path: str) -> list[str]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"the file of recipients {path} cannot be read: {reason}",
            hint="drills.backup.encrypt_to has age recipients (age1...) or files of them.",
        ) from None
    lines = [each.strip() for each in text.splitlines()]
    return [each for each in lines if each and not each.startswith("#")]


def _refuse_private(text: str) -> None:
    """Before anything could repeat it."""
    if text.upper().startswith(_KEY):
        raise ConfigError(
            "drills.backup.encrypt_to holds a private key of age",
            hint="Give the recipient, age1..., and keep the key away from here. This one counts "
            "as disclosed.",
        )


def _recipient(text: str) -> pyrage.x25519.Recipient:
    _refuse_private(text)
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ConfigError(
            f"{text[:20]!r} is no age recipient",
            hint="It is 62 characters long and begins with age1: age-keygen -y FILE prints it.",
        ) from None
