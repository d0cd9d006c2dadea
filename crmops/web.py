"""Serving an ASGI application as crmops does everywhere: bind, drop privileges, say so, serve."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crmops.errors import CannotRun

BACKLOG = 512


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.  Raises CannotRun if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotRun(
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="Another program has the port: choose one with --port, or 0 for any free one.",
        ) from error
    return listener


def address(listener: socket.socket) -> str:
    """The address that a listening socket answers on."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def write_ready(path: Path, **facts: object) -> None:
    """Tell whoever started us that we are ready: a JSON file, written whole."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps({"pid": os.getpid(), **facts}))
    partial.rename(path)


def serve_app(  # noqa: PLR0913 - each is a separate decision of the caller
    application: Any,  # noqa: ANN401 - any ASGI application
    *,
    host: str,
    port: int,
    owned: Sequence[Path] = (),
    ready_file: Path | None = None,
    before: Callable[[str], None] | None = None,
    after: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    ``owned`` are our own directories, handed to the unprivileged user when started as root;
    ``before`` is called with the address when privileges are dropped, ``after`` at the end.
    """
    import uvicorn

    from crmops.privileges import drop_privileges

    listener = bind(host, port)
    config = uvicorn.Config(
        application, log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    config.load()
    drop_privileges(owned)
    if before is not None:
        before(address(listener))
    if ready_file is not None:
        write_ready(ready_file, url=address(listener))
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
        _ignore_second_signal()
        if after is not None:
            after()


def _ignore_second_signal() -> None:
    """uvicorn raises the signal again once it has stopped; the tidying up must not be cut short."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
