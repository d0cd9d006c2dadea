"""Workers for tests: real processes, in a network of their own where this machine allows it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from crmops.secret import Secret
from loadtests.settings import Distributed, Instrument, Settings

from .conftest import SETTINGS

SECRET = "planted-secret-of-the-fleet"
ROOT = Path(__file__).resolve().parents[2]
PATIENT = Instrument(loop_lag=30, sent=0, silence=30)
"""The machine may be busy with other things: these tests are about who does what."""


@dataclass(frozen=True)
class Place:
    """Where workers are: the master's address, how a command is run there, the CRM's address."""

    host: str = "127.0.0.2"
    prefix: tuple[str, ...] = ()
    url: str = ""


@contextmanager
def elsewhere(url: str) -> Iterator[Place]:
    """Another network namespace, joined to ours by two ends of a wire, where root may make one;
    else another address of the loopback network.
    """
    name, number = f"crmops{os.getpid()}", os.getpid() % 250
    here, there = f"10.213.{number}.1", f"10.213.{number}.2"
    wire = f"crm{number}"
    steps = [
        f"netns add {name}",
        f"link add {wire} type veth peer name eth0 netns {name}",
        f"addr add {here}/30 dev {wire}",
        f"link set {wire} up",
        f"-n {name} addr add {there}/30 dev eth0",
        f"-n {name} link set eth0 up",
        f"-n {name} link set lo up",
    ]
    made = shutil.which("ip") is not None and all(map(_ip, steps))
    try:
        if not made:
            yield Place(url=url)
            return
        with forwarded(here, int(url.rpartition(":")[2])) as port:
            yield Place(here, ("ip", "netns", "exec", name), f"http://{here}:{port}")
    finally:
        if shutil.which("ip"):
            _ip(f"netns del {name}")  # the wire goes with it


def _ip(words: str) -> bool:
    done = subprocess.run(["ip", *words.split()], capture_output=True, check=False, timeout=30)
    return done.returncode == 0


@contextmanager
def forwarded(host: str, port: int) -> Iterator[int]:
    """A port of ``host`` that leads to one of 127.0.0.1."""
    loop = asyncio.new_event_loop()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    server = loop.run_until_complete(asyncio.start_server(serve, host, 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    mine = asyncio.current_task()
    rest = [each for each in asyncio.all_tasks() if each is not mine]
    for each in rest:
        each.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


class Crew:
    """Workers, each a `crmops load worker` process; all are ended at the end, by their pid."""

    def __init__(self, folder: Path, place: Place | None = None) -> None:
        self.folder, self.place = folder, place or Place()
        with socket.create_server((self.place.host, 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self.started: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"{self.place.host}:{self.port}"

    def settings(self, workers: int, silence: float = 30, **changes: Any) -> Settings:
        distributed = Distributed(
            listen=self.address, workers=workers, secret=Secret(SECRET), wait=120
        )
        instrument = PATIENT.model_copy(update={"silence": silence})
        updates = {"distributed": distributed, "instrument": instrument, **changes}
        return SETTINGS.model_copy(update=updates)

    def start(self, *options: str, secret: str = SECRET, wait: int = 120) -> None:
        """Start a worker."""
        words = ["load", "worker", "--master", self.address, "--wait", str(wait), *options]
        journals = ["--journals", str(self.folder / "journals")]
        with self._log(len(self.started)).open("wb") as log:
            process = subprocess.Popen(
                [*self.place.prefix, sys.executable, "-m", "crmops", *words, *journals],
                cwd=ROOT, env={**os.environ, "CRMOPS_LOAD_SECRET": secret}, stderr=log,
            )  # fmt: skip
        self.started.append(process)

    def _log(self, number: int) -> Path:
        return self.folder / f"worker{number}.txt"

    def said(self, number: int) -> str:
        """What a worker has said."""
        return self._log(number).read_text()

    def ends(self) -> list[tuple[int, str]]:
        """The exit code and the words of each worker, once it has ended."""
        codes = [each.wait(timeout=90) for each in self.started]
        return [(code, self.said(number)) for number, code in enumerate(codes)]

    def busy(self) -> list[int]:
        """The workers that have people."""
        numbers = range(len(self.started))
        return [each for each in numbers if "people are here" in self.said(each)]

    def generator(self, number: int) -> psutil.Process:
        """The process of a worker that makes the load."""
        family = psutil.Process(self.started[number].pid).children(recursive=True)
        return next(each for each in family if "loadtests.child.worker" in each.cmdline())

    def end(self) -> None:
        for each in self.started:
            if each.poll() is None:
                for child in psutil.Process(each.pid).children(recursive=True):
                    child.kill()
                each.kill()
            each.wait()
