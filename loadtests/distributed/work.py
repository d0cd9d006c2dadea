"""``crmops load worker``: the parent of a generator that serves a master elsewhere."""

from __future__ import annotations

import json
import selectors
import time
from contextlib import suppress
from pathlib import Path

from crmops.cli_support import note
from crmops.errors import CannotRun
from crmops.secret import Secret
from loadtests.distributed.address import Address
from loadtests.generator import Child, Message

BEAT = 1.0
PAUSE = 0.5
HAND_OVER = 20.0
"""Seconds that a worker which is taken away is given for its journal."""


class Worker(Child):
    """The process with locust's worker."""

    last_words = ("done", "idle", "error")


def work(master: Address, secret: Secret, folder: Path, wait: float) -> None:
    """Serve one run of a master.  Raises CannotRun when that does not go well."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    order = {
        "host": master.host,
        "port": master.port,
        "secret": secret.reveal(),
        "folder": str(folder.absolute()),
        "wait": wait,
    }
    line = json.dumps(order).encode() + b"\n"
    log = folder / f"worker-{time.time_ns()}.log"
    child = Worker("loadtests.child.worker", line, log, float("inf"), "the load worker")
    note(f"looking for the master at {master}")
    try:
        _listen(child, master, float("inf"))
    except KeyboardInterrupt:  # an orchestrator takes it away: it hands its journal over first
        child.stop()
        with suppress(CannotRun):
            _listen(child, master, HAND_OVER)
        log.unlink(missing_ok=True)
        raise
    finally:
        child.end()
    log.unlink(missing_ok=True)


def work_on(master: Address, secret: Secret, folder: Path, wait: float) -> None:
    """Serve run after run: what goes wrong with one does not end it.  An interruption does."""
    while True:
        try:
            work(master, secret, folder, wait)
        except CannotRun as error:
            note(f"error: {error.message}", always=True)
        time.sleep(PAUSE)


def _listen(child: Worker, master: Address, seconds: float) -> None:
    until = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(child.output, selectors.EVENT_READ)
        while not child.done and time.monotonic() < until:
            if selector.select(BEAT):
                for message in child.receive():
                    _heed(message, master)


def _heed(message: Message, master: Address) -> None:
    kind = message["type"]
    if kind == "joined":
        note(f"joined the master at {master}; waiting for a part of its load")
    elif kind == "began":
        note(f"run {message['run']}: {message['people']} people are here")
    elif kind == "idle":
        note("the master needed nobody more, and has ended")
    elif kind == "done" and (message["rest"] or message["why"]):
        rest = f"the rest of the journal is at {message['rest']}" if message["rest"] else ""
        raise CannotRun(
            message["why"] or "the master does not have the whole journal",
            hint=f"{rest}; copy it into the run's folder before `crmops load cleanup`."
            if rest
            else "Look whether the master is still there.",
        )
    elif kind == "done":
        note("done; the master has everything")
    elif kind == "error":
        raise CannotRun(message["message"], hint=message["hint"])
