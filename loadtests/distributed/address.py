"""Where master and workers meet, and the secret by which they know one another."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from crmops.errors import ConfigError, UsageError
from crmops.secret import Secret

PORT = 5557
"""Locust's own port for its master."""

_FORM = re.compile(r"(\[[0-9A-Fa-f:.]+\]|\*|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
VARIABLE = "CRMOPS_LOAD_SECRET"
LEAST = 16
"""Characters of a secret below which trying them all would be too easy."""


class Address(NamedTuple):
    """A host and a port, as ZeroMQ wants them: IPv6 in brackets, ``*`` for every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside of this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def parse_address(text: str, what: str) -> Address:
    """``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``.  Raises UsageError; ``what`` names the option."""
    try:
        return Address(f"[{ipaddress.IPv6Address(text)}]", PORT)
    except ValueError:
        found = _FORM.fullmatch(text)
    port = int(found[2] or PORT) if found else -1
    if found is None or not 0 <= port < 65_536:
        raise UsageError(
            f"{what} {text!r} is no address",
            hint="Write HOST:PORT, as in 10.0.0.5:5557; an IPv6 address stands in brackets.",
        )
    return Address("127.0.0.1" if found[1] == "localhost" else found[1], port)


def find_secret(
    path: Path | None, environ: Mapping[str, str] = os.environ, configured: Secret | None = None
) -> Secret:
    """The shared secret: of a file, else of ``CRMOPS_LOAD_SECRET``, else of the configuration.

    Raises UsageError if there is none, ConfigError for a bad one.
    """
    found = _of_file(path) if path else Secret(environ.get(VARIABLE, ""), f"env:{VARIABLE}")
    if not found and configured is not None:
        found = configured
    if not found:
        raise UsageError(
            "master and workers need a secret in common",
            hint=f"Give both the same --secret-file, or {VARIABLE}; never on a command line.",
        )
    if len(found.reveal()) < LEAST:
        raise ConfigError(
            f"the secret has fewer than {LEAST} characters",
            where=found.source,
            hint="Make one with `openssl rand -hex 32`.",
        )
    return found


def _of_file(path: Path) -> Secret:
    where = f"file:{path}"
    try:
        return Secret(path.read_text(encoding="utf-8").strip(), where)
    except (OSError, UnicodeDecodeError) as error:
        why = str(getattr(error, "strerror", "")).lower() or "it is not UTF-8"
        raise ConfigError(f"the file of the secret cannot be read: {why}", where=where) from None
