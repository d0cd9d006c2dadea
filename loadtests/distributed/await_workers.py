"""What the options of ``crmops load run`` say about workers of other machines."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from crmops.cli_support import note
from crmops.errors import UsageError
from loadtests.distributed.address import find_secret, parse_address
from loadtests.guard import is_here
from loadtests.settings import Settings


def awaiting(
    settings: Settings,
    url: str,
    listen: str,
    workers: int,
    secret_file: Path | None,
    processes: int = 0,
) -> Settings:
    """The settings with what the options say; checked before anything is begun.

    ``url`` is the target's, ``processes`` those of this machine that are asked for.  Raises
    UsageError or ConfigError.
    """
    known = settings.distributed
    if processes and (listen or known.listen):
        raise UsageError(
            "--workers are processes of this machine, --listen awaits others",
            hint="Say --expect-workers with --listen.",
        )
    if not (listen or known.listen):
        if workers or secret_file:
            raise UsageError(
                "--expect-workers and --secret-file need --listen",
                hint="Processes of this machine are asked for with --workers.",
            )
        return settings
    where = listen or known.listen
    address = parse_address(where, "--listen")
    changes = {
        "listen": where,
        "workers": workers or known.workers,
        "secret": find_secret(secret_file, configured=known.secret),
    }
    if not address.is_loopback and is_here(urlsplit(url).hostname or ""):
        note(
            f"warning: {url} is this machine to us; a worker elsewhere would look for the CRM "
            "on its own",
            always=True,
        )
    return settings.model_copy(update={"distributed": known.model_copy(update=changes)})
