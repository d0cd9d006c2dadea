"""Serving an ASGI application as crmops does everywhere: bind, drop privileges, say so, serve."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from crmops.errors import CannotRun

BACKLOG = 512
GRACE = 3
"""Seconds that open connections are given at the end."""

_BIND_HINTS = {
    errno.EADDRINUSE: "Another program has the port: choose one with --port; 0 is any free one.",
    errno.EACCES: "Ports below 1024 are for root: choose a higher one with --port.",
}


class Worker(Protocol):
    """Something that works beside the server, in threads or processes of its own."""

    def start(self) -> None:
        """Begin; returns at once."""

    def stop(self) -> None:
        """End, within a few seconds."""


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
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
            hint=_BIND_HINTS.get(error.errno or 0, "Choose another address with --host."),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How an application is served.

    ``owned`` are our own directories, handed to the unprivileged user when started as root, and
    ``inherit`` lets children read what we may read.  ``workers`` are started once privileges are
    dropped and stopped at the end, all at the same time; ``started`` is told the address.  The
    ready file is gone before and after.
    """

    host: str
    port: int
    owned: Sequence[Path] = ()
    ready_file: Path | None = None
    inherit: bool = False
    workers: Sequence[Worker] = ()
    started: Callable[[str], None] = lambda url: None


def serve_app(application: Any, how: Serving) -> None:
    """Serve until SIGTERM or Ctrl-C, which is an end in order.  Raises CannotRun."""
    import uvicorn

    from crmops.privileges import drop_privileges

    _forget(how.ready_file)
    listener = bind(how.host, how.port)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=GRACE,
    )
    config.load()
    try:
        drop_privileges(how.owned, inherit=how.inherit)
        for each in how.workers:
            each.start()
        how.started(address(listener))
        if how.ready_file is not None:
            write_ready(how.ready_file, url=address(listener))
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn raises the signal again when it has stopped
        pass
    finally:
        _ignore_second_signal()
        listener.close()
        _stop_all(how.workers)
        _forget(how.ready_file)


def _forget(ready_file: Path | None) -> None:
    if ready_file is not None:
        with contextlib.suppress(OSError):  # another user's directory; it says our pid
            ready_file.unlink(missing_ok=True)


def _stop_all(workers: Sequence[Worker]) -> None:
    stopping = [threading.Thread(target=each.stop) for each in workers]
    for each in stopping:
        each.start()
    for each in stopping:
        each.join()


def _ignore_second_signal() -> None:
    """The tidying up must not be cut short by an impatient second Ctrl-C."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
