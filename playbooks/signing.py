"""Signatures on evidence: ed25519 over canonical JSON, chained to the evidence before.

A signature proves that a document has not changed since it was signed by the holder of a key.
It does not prove that what was written is true: a key that lies on the host of the drill is as
honest as that host.  Who wants more keeps the public key and each document's SHA-256 elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from crmops.errors import CannotRun, UsageError
from crmops.record import Verdict
from playbooks.job import canonical

ALGORITHM = "ed25519"


@dataclass(frozen=True, slots=True)
class Examined:
    """What an examination of a signed document came to, and its facts as lines for a person."""

    verdict: Verdict
    reason: str
    facts: dict[str, str]


def load_key(path: Path) -> Ed25519PrivateKey:
    """The signing key, made on first use, readable for its owner only.  Raises CannotRun."""
    try:
        if not path.exists():
            _make_key(path)
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise CannotRun(
            f"the signing key {path} cannot be used: {type(error).__name__}",
            hint="Give an unencrypted ed25519 key in PEM, or move the file away for a new one.",
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CannotRun(f"the signing key {path} is no ed25519 key")
    return key


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public half, to be kept where the drill's host cannot reach it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the raw public key, base64 without padding, as ssh-keygen shows it."""
    digest = hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def sign(document: dict[str, Any], key: Ed25519PrivateKey) -> str:
    """The document with its signature, as the text of a file."""
    public = key.public_key()
    signature = {
        "algorithm": ALGORITHM,
        "key": fingerprint(public),
        "public_key": base64.b64encode(
            public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        ).decode(),
        "value": base64.b64encode(key.sign(canonical(document).encode())).decode(),
    }
    return canonical({"evidence": document, "signature": signature}) + "\n"


def examine(text: str, trusted: str | None, log: bytes | None = None) -> Examined:
    """Examine a signed document offline.

    ``trusted`` is a public key in PEM; without it the document can be whole, but whose it is
    stays unknown.  ``log`` is the playbook's log, if it lies beside the document.  Raises
    UsageError when ``trusted`` is no public key.
    """
    known = public_key(trusted) if trusted is not None else None
    try:
        found = json.loads(text)
        document, signature = found["evidence"], found["signature"]
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature["public_key"]))
        value = base64.b64decode(signature["value"])
        facts = _facts(document, fingerprint(public))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Examined(Verdict.FAIL, "this is no signed evidence", {})
    try:
        (known or public).verify(value, canonical(document).encode())
    except InvalidSignature:
        return Examined(Verdict.FAIL, _why_invalid(known, public, value, document), facts)
    if log is not None and hashlib.sha256(log).hexdigest() != document.get("log_sha256"):
        return Examined(Verdict.FAIL, "the log beside it is not the one that was signed", facts)
    if known is None:
        return Examined(
            Verdict.UNKNOWN,
            "the file is whole, but no key was given: whose it is stays unknown",
            facts,
        )
    return Examined(Verdict.PASS, f"signed by {fingerprint(known)} and unchanged since", facts)


def _why_invalid(
    known: Ed25519PublicKey | None, public: Ed25519PublicKey, value: bytes, document: object
) -> str:
    """Changed after signing, or signed by somebody else?"""
    try:
        public.verify(value, canonical(document).encode())
    except InvalidSignature:
        return "the document was changed after it was signed"
    named = fingerprint(known) if known is not None else "nobody"
    return f"it was signed by {fingerprint(public)}, not by {named}"


def _facts(document: dict[str, Any], key: str) -> dict[str, str]:
    names = ("kind", "target", "run", "begun", "verdict", "reason", "backup")
    return {"key": key, **{each: str(document[each]) for each in names}}


def public_key(pem: str) -> Ed25519PublicKey:
    """A public key from its PEM.  Raises UsageError when it is none."""
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            "this is no ed25519 public key in PEM", hint="crmops drill key prints the right one."
        )
    return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(pem)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(partial, path)  # never over a key that another process has just made
    except FileExistsError:
        pass
    finally:
        partial.unlink()
