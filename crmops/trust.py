"""Which servers are believed to be who they say: the system's authorities and the target's own."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path

from crmops.errors import ConfigError
from crmops.target import Target


def trust(target: Target) -> ssl.SSLContext:
    """A context that verifies a target's certificate, made once a process and file.

    The authorities are those of this machine (or of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``) and,
    besides, those in the target's ``ca_file``.  Raises ConfigError if that cannot be read.
    """
    if not target.ca_file:
        return _context("", 0)
    try:
        return _context(target.ca_file, Path(target.ca_file).stat().st_mtime_ns)
    except OSError as error:
        raise ConfigError(
            f"ca_file {target.ca_file!r} of target {target.name!r} cannot be used: "
            f"{error.strerror or error}",
            hint="Give the path of a PEM file with the authority's certificates.",
        ) from error


@functools.lru_cache(maxsize=32)
def _context(ca_file: str, changed: int) -> ssl.SSLContext:
    """Reading the authorities costs more than a walk's calls do: again only for a changed file."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context
