"""Password hashes: scrypt with a small cost.

The cost is small (about 3 ms) on purpose: refcrm is a practice system, and five hundred
people logging in at once must be a test of the system under test, not of scrypt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

_N, _R, _P = 1024, 8, 1


def hash_password(password: str, salt: bytes | None = None) -> str:
    """A storable hash, ``scrypt$n$r$p$salt$key`` with base64 parts; salt is random if left out."""
    salt = os.urandom(16) if salt is None else salt
    key = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)
    encoded = (base64.b64encode(part).decode() for part in (salt, key))
    return "$".join(("scrypt", str(_N), str(_R), str(_P), *encoded))


def check_password(password: str, stored: str | None) -> bool:
    """Whether password is the one behind stored; a missing or foreign hash fits nothing.

    An unknown user costs as much time as a known one, so that names cannot be probed.
    """
    kind, _, rest = (stored or _NOBODY).partition("$")
    parts = rest.split("$")
    if kind != "scrypt" or len(parts) != 5:
        return False
    cost, block, parallel = (int(part) for part in parts[:3])
    salt, key = (base64.b64decode(part) for part in parts[3:])
    found = hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=parallel)
    return hmac.compare_digest(found, key) and stored is not None


_NOBODY = hash_password("", b"no such user")
