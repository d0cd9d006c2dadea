"""Who vouches for a backup: an ed25519 signature over what its manifest says.

A seal alone notices damage.  A signature notices also who changed a manifest and sealed it anew.
"""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict

from crmops.errors import CannotRun, ConfigError, UsageError
from playbooks.errors import CheckFailed
from playbooks.signing import ALGORITHM, fingerprint, load_key, public_key

_ABOUT = b"crmops manifest\n"
"""Said with every digest, so that a signature of this is good for nothing else."""


class Signature(BaseModel):
    """A signature over a digest; ``public_key`` is raw ed25519 in base64."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: str = ALGORITHM
    public_key: str
    value: str

    @property
    def signer(self) -> str:
        """The key's fingerprint, or a word that it is none."""
        try:
            raw = base64.b64decode(self.public_key, validate=True)
            return fingerprint(Ed25519PublicKey.from_public_bytes(raw))
        except ValueError:
            return "no key"


def vouch(digest: str, key_file: Path) -> Signature:
    """Sign a digest.  The key is made on first use.  Raises CannotRun."""
    key = load_key(key_file)
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Signature(
        public_key=base64.b64encode(raw).decode(),
        value=base64.b64encode(key.sign(_ABOUT + digest.encode())).decode(),
    )


def trusted_key(signing_key: Path | None, configured: Path | None) -> Ed25519PublicKey:
    """Whose signature a backup must bear: the configured public key, else the one of this host.

    Raises ConfigError for a file that holds no public key, CannotRun where there is none at all.
    """
    if configured is not None:
        try:
            return public_key(configured.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, UsageError):
            raise ConfigError(
                f"{configured} holds no ed25519 public key in PEM",
                hint="drills.backup.trusted_key names the file that crmops drill key printed "
                "where the backup was taken.",
            ) from None
    if signing_key is None or not signing_key.exists():
        raise CannotRun(
            "it is not known whose signature a backup must bear",
            hint="Set drills.backup.trusted_key to the public key of the host that takes them.",
        )
    return load_key(signing_key).public_key()


def require_signature(digest: str, signature: Signature | None, trusted: Ed25519PublicKey) -> str:
    """The signer's fingerprint.  Raises CheckFailed unless the trusted key signed the digest."""
    if signature is None:
        raise CheckFailed("the manifest is not signed")
    try:
        trusted.verify(base64.b64decode(signature.value), _ABOUT + digest.encode())
    except (InvalidSignature, ValueError):
        wanted = fingerprint(trusted)
        if signature.signer == wanted:
            raise CheckFailed("the manifest was changed after it was signed") from None
        raise CheckFailed(
            f"the manifest was signed by {signature.signer}, not by {wanted}"
        ) from None
    return fingerprint(trusted)
