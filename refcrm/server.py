"""The server process: bind, open, announce, give up root, serve, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import uvicorn
import uvloop

from refcrm import osuser, schema
from refcrm.app import build
from refcrm.database import unreachable
from refcrm.errors import RefcrmError
from refcrm.services import running
from refcrm.settings import Settings

# Imported by these libraries only when first needed. After giving up root it may be too late:
# an interpreter below root's home is out of reach then.
_LATE_IMPORTS = (
    "anyio._backends._asyncio",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_16",
    "encodings.utf_8_sig",
    "encodings.gb18030",
    "httptools",
    "multipart",
    "stringprep",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.httptools_impl",
)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a started server tells: where it listens."""

    url: str


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process before our clean-up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    settings: Settings,
    *,
    announce: Callable[[Announcement], None],
    watch: Callable[[], str | None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; as root, everything after announce runs as another user.

    announce is called once, when requests are answered. watch is asked every half second
    whether something the server depends on is gone: its reason ends the server.
    Raises RefcrmError when the port is taken, the database cannot be reached, or watch says so.
    """
    for name in _LATE_IMPORTS:
        importlib.import_module(name)
    user = osuser.substitute()
    _raise_file_limit()
    listener = _bind(settings.host, settings.port)
    with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener, user, announce, watch))


async def _serve(
    settings: Settings,
    listener: socket.socket,
    user: osuser.OsUser | None,
    announce: Callable[[Announcement], None],
    watch: Callable[[], str | None] | None,
) -> None:
    await _prepare_database(settings.database_url)
    async with running(settings) as services:
        server = _Server(_configuration(build(services)))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _ask_to_stop, server)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        host, port = listener.getsockname()[:2]
        announce(Announcement(f"http://{_bracketed(host)}:{port}"))
        osuser.become(user)
        reason = await _until_done(serving, watch)
        if reason is not None:
            server.should_exit = True
            await serving
            raise RefcrmError(reason, hint="Start it again; its log says what happened.")


async def _until_done(
    serving: asyncio.Task[None], watch: Callable[[], str | None] | None
) -> str | None:
    while True:
        done, _ = await asyncio.wait([serving], timeout=0.5 if watch else None)
        if done:
            await serving
            return None
        if watch is not None and (reason := watch()) is not None:
            return reason


def _ask_to_stop(server: uvicorn.Server) -> None:
    # A second signal does not wait for requests that are still being answered.
    server.force_exit = server.should_exit
    server.should_exit = True


async def _prepare_database(url: str) -> None:
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError) as error:
        raise unreachable(error) from error
    try:
        await schema.apply(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise RefcrmError(
            f"the tables cannot be made: {error}",
            hint="Give the database role the right to create in schema public.",
        ) from error
    finally:
        await connection.close()


def _configuration(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=4096)
    except (OSError, OverflowError) as error:
        number = error.errno if isinstance(error, OSError) else None
        # Below zero are the errors of looking a host name up, with words of their own.
        words = os.strerror(number) if number is not None and number > 0 else str(error)
        raise RefcrmError(
            f"cannot listen on {host} port {port}: {words}",
            hint="Choose another --port; 0 takes a free one.",
        ) from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _raise_file_limit() -> None:
    # One descriptor a connection: thousands of people at work need more than the usual 1024.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if most == resource.RLIM_INFINITY else min(most, 65536)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
