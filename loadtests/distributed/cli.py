"""``crmops load worker``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def worker(
    master: Annotated[str, typer.Option(help="HOST or HOST:PORT of `crmops load run --listen`.")],
    secret_file: Annotated[
        Path | None,
        typer.Option(help="File with the secret; without it CRMOPS_LOAD_SECRET holds it."),
    ] = None,
    wait: Annotated[float, typer.Option(min=1, help="Seconds to look for the master.")] = 60.0,
    stay: Annotated[
        bool, typer.Option("--stay", help="Serve run after run, until interrupted.")
    ] = False,
    journals: Annotated[
        Path, typer.Option(help="Directory of journals that the master does not have yet.")
    ] = Path("crmops-worker"),
) -> None:
    """Take a part of a load that is run elsewhere; serves one run and ends."""
    from loadtests.distributed.address import find_secret, parse_address
    from loadtests.distributed.work import work, work_on

    address, secret = parse_address(master, "--master"), find_secret(secret_file)
    (work_on if stay else work)(address, secret, journals, wait)
