"""A child process's line to its parent: JSON lines over pipes that never block the loop."""

from __future__ import annotations

import json
import os
import resource
from typing import Any

import gevent.event
from gevent.os import make_nonblocking, nb_read, nb_write

from crmops.errors import CrmopsError

SPARE_DESCRIPTORS = 100


class Pipe:
    """The line to the parent; writing never blocks the loop."""

    def __init__(self, handle: int) -> None:
        make_nonblocking(handle)
        self._handle = handle

    def write(self, message: dict[str, Any]) -> None:
        """Send one JSON line.  A parent who has gone is the end: nobody would read on."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            while data:
                data = data[nb_write(self._handle, data) :]
        except OSError:
            os._exit(1)


class Parent:
    """Listens to the parent: ``go`` begins, ``stop`` or the end of the pipe ends."""

    def __init__(self, handle: int, rest: bytes) -> None:
        make_nonblocking(handle)
        self._handle, self._rest = handle, rest
        self.stop = gevent.event.Event()
        self.go = gevent.event.Event()

    def listen(self) -> None:
        """Runs as a greenlet."""
        while True:
            *lines, self._rest = self._rest.split(b"\n")
            if b"go" in lines:
                self.go.set()
            if b"stop" in lines:
                break
            data = nb_read(self._handle, 4096)
            if not data:
                break
            self._rest += data
        self.stop.set()
        self.go.set()


def raise_descriptor_limit(people: int) -> None:
    """One connection a person.  Raises CrmopsError if the system does not grant so many."""
    wanted = people + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and (hard == resource.RLIM_INFINITY or hard >= wanted):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    elif soft < wanted:
        raise CrmopsError(
            f"{people} people need {wanted} open files, the limit is {hard}",
            hint=f"Raise it (ulimit -n {wanted}), or spread the people with --workers.",
        )


def read_line(handle: int) -> tuple[bytes, bytes]:
    """The first line, and what came with it of the next."""
    data = b""
    while b"\n" not in data:
        part = os.read(handle, 1 << 20)
        if not part:
            raise CrmopsError("the plan was cut off")
        data += part
    line, _, rest = data.partition(b"\n")
    return line, rest
