"""``python -m loadtests.child.worker``: a generator that takes its plan from a master.

Standard input: one line (where the master is, the secret, where journals lie); its end, or
``stop``, ends the load.  Standard output: JSON lines (``joined``, ``began``, ``done``, ``error``).
"""

from __future__ import annotations

import locust  # isort: skip  # first of all: it patches the standard library
import json
import os
import socket
import sys
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import gevent.event
from gevent.queue import Empty, Queue
from locust.env import Environment
from locust.exception import RPCError
from locust.rpc import Message
from locust.runners import WorkerRunner

from crmops import __version__
from crmops.errors import CannotRun, CrmopsError
from loadtests.child.connection import ConnectionLost
from loadtests.child.curve import derive_keys, seal
from loadtests.child.deliveries import Offset, Shipment, WorkersJournal
from loadtests.child.generator import Generator
from loadtests.child.pipe import Parent, Pipe, raise_descriptor_limit, read_line
from loadtests.distributed.luggage import unpacked
from loadtests.guard import refuse_proxy
from loadtests.plan import Plan

ROUNDS = 5
"""How often the master's clock is asked for; the quickest answer is the best."""

ANSWER = 10.0
"""Seconds in which a master that is there answers."""

SHIP_EVERY = 1.0
SHIP_LIMIT = 30.0
"""Most seconds that are spent at the end on handing over the journal."""


class Runner(WorkerRunner):
    """Locust's worker, which leaves it to us what becomes of it when the master quits."""

    gone: gevent.event.Event
    heard = 0.0

    def handle_message(self, msg: Message) -> None:
        """Note signs of life; the master's farewell ends the load in good order."""
        self.heard = time.monotonic()
        if msg.type == "quit":
            self.gone.set()
        else:
            super().handle_message(msg)


@dataclass(slots=True)
class Worker:
    """One worker: joins, takes a plan, works, hands over."""

    runner: Runner
    pipe: Pipe
    folder: Path
    parent: Parent
    inbox: dict[str, Queue[dict[str, Any]]]
    stop: gevent.event.Event = field(default_factory=gevent.event.Event)
    number: int = 0
    silence: float = 60.0
    why: str = ""
    stopped: bool = False
    shipment: Shipment | None = None

    def work(self) -> bool:
        """From the first word to the last; False if the master had no use for this worker."""
        self._say("hello", {
            "name": socket.gethostname(),
            "versions": {"crmops": __version__, "locust": locust.__version__},
        })  # fmt: skip
        gevent.spawn(self._watch)
        order = self._await("plan", None)
        if order is None:
            return False
        self.silence = float(order["silence"])
        plan, offset = self._prepared(order)
        generator = Generator(
            plan, self, runner=self.runner,
            journal=WorkersJournal(plan.journal_path, plan.run_id, offset),
        )  # fmt: skip
        generator.gather()
        self._say("ready", {})
        start = self._await("go", None)
        if start is None:
            return False
        self.pipe.write({"type": "began", "run": plan.run_id, "people": len(plan.people)})
        shipping = gevent.spawn(self._ship_on)
        generator.run(self.stop, float(start["begins"]) - offset.ahead, float(start["since"]))
        shipping.kill()
        self._hand_over()
        return True

    def write(self, message: dict[str, Any]) -> None:
        """A generator's line: its numbers go to the master, its end waits for the journal."""
        if message["type"] == "done":
            self.stopped = bool(message["stopped"])
            return
        self.number += 1
        body = zlib.compress(json.dumps(message, separators=(",", ":")).encode(), 1)
        self._say("delta", {"number": self.number, "body": body})

    def _prepared(self, order: dict[str, Any]) -> tuple[Plan, Offset]:
        packed = json.loads(zlib.decompress(order["plan"]))
        folder = self.folder / Path(str(packed["run_id"])).name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = Path(str(packed["journal"])).name
        packed["target"] = unpacked(packed["target"], folder)
        packed["journal"] = str(folder / own)
        plan = Plan.load(json.dumps(packed).encode())
        refuse_proxy(plan.target_model())
        raise_descriptor_limit(len(plan.people))
        self.shipment = Shipment(folder, own)
        return plan, self._offset()

    def _offset(self) -> Offset:
        """By how much the master's clock is ahead of ours, from the quickest of some questions."""
        best = Offset(0.0, float("inf"))
        for _ in range(ROUNDS):
            asked = time.monotonic()
            self._say("clock", {"there": asked})
            answer = self._await("clock", ANSWER)
            now = time.monotonic()
            if answer is None or answer["there"] != asked:
                raise CannotRun("the master does not answer")
            if (now - asked) / 2 < best.error:
                best = Offset(answer["here"] - (asked + now) / 2, (now - asked) / 2)
        return best

    def _ship_on(self) -> None:
        while True:
            self._ship()
            gevent.sleep(SHIP_EVERY)

    def _ship(self) -> bool:
        """Send what the master does not have; whether there was anything."""
        pieces = self.shipment.pieces() if self.shipment else []
        for each in pieces:
            self._say("journal", each)
        for _ in pieces:
            kept = self._await("kept", ANSWER, whatever=True)
            if kept is not None and self.shipment is not None:
                self.shipment.kept(kept["name"], kept["size"])
        return bool(pieces)

    def _hand_over(self) -> None:
        shipment, until = self.shipment, time.monotonic() + SHIP_LIMIT
        while not self._alone() and self._ship() and time.monotonic() < until:
            pass
        rest = shipment.rest() if shipment else ""
        self._say("done", {"rest": rest, "stopped": self.stopped, "why": self.why})
        if not self._alone():
            self._await("over", ANSWER, whatever=True)
        if shipment is not None:
            shipment.clear()
        self.pipe.write({"type": "done", "rest": rest, "why": self.why})

    def _alone(self) -> bool:
        """Whether the master is not there any more."""
        silent = time.monotonic() - self.runner.heard
        return silent > self.silence or self.runner.gone.is_set()

    def _watch(self) -> None:
        """End the load when somebody says so, or when the master is not heard of any more: nobody
        could stop it then.
        """
        while not self.stop.is_set():
            gevent.sleep(0.2)
            if time.monotonic() - self.runner.heard > self.silence:
                self.why = f"it heard nothing of the master for {self.silence:g} s and ended"
                self.stop.set()
            elif self._told_to_stop():
                self.stop.set()

    def _told_to_stop(self) -> bool:
        told = (self.parent.stop.is_set(), self.runner.gone.is_set())
        return any(told) or not self.inbox["stop"].empty()

    def _await(
        self, kind: str, seconds: float | None, *, whatever: bool = False
    ) -> dict[str, Any] | None:
        """The next message of a kind; None at the end of the load (unless ``whatever``) or time.

        Raises CannotRun when the master refuses this worker.
        """
        until = float("inf") if seconds is None else time.monotonic() + seconds
        while time.monotonic() < until and (whatever or not self.stop.is_set()):
            if not self.inbox["no"].empty():
                raise CannotRun(self.inbox["no"].get()["message"], hint="Install the same version.")
            if self.runner.gone.is_set() and self.inbox[kind].empty():
                return None
            with suppress(Empty):
                found: dict[str, Any] = self.inbox[kind].get(timeout=0.1)
                return found
        return None

    def _say(self, kind: str, data: dict[str, Any]) -> None:
        with suppress(RPCError):  # what gets lost is missed by the master, which counts
            self.runner.send_message(f"crmops_{kind}", data)

    def fail(self, message: str, hint: str) -> None:
        """Say why this worker cannot do its part."""
        self._say("failed", {"message": message, "hint": hint})

    def leave(self) -> None:
        """Say goodbye and let the words leave."""
        with suppress(RPCError):
            self.runner.send_message("quit", None)
        self.runner.client.socket.context.destroy(linger=2000)


def join(order: dict[str, Any], pipe: Pipe, parent: Parent) -> Worker:
    """A worker that has found its master.  Raises CannotRun."""
    refused = gevent.event.Event()
    seal(derive_keys(order["secret"]), refused.set)
    environment = Environment(user_classes=[])
    inbox: dict[str, Queue[dict[str, Any]]] = {}
    Runner.gone = gevent.event.Event()
    seeking = gevent.spawn(Runner, environment, order["host"], order["port"])
    gevent.wait([seeking, parent.stop], timeout=order["wait"], count=1)
    if not seeking.ready():
        if parent.stop.is_set():
            raise CannotRun("interrupted before a master was found")
        raise CannotRun(
            f"no master answered at {order['host']}:{order['port']} within {order['wait']:g} s",
            hint="It refused the secret: both sides need the same one."
            if refused.is_set()
            else "Start `crmops load run --listen` there first, with the same secret.",
        )
    runner: Runner = seeking.get()
    environment.runner = runner
    for kind in ("plan", "go", "stop", "clock", "kept", "over", "no"):
        inbox[kind] = Queue()
        runner.register_message(f"crmops_{kind}", _into(inbox[kind]))
    pipe.write({"type": "joined"})
    return Worker(runner, pipe, Path(order["folder"]), parent, inbox)


def _into(queue: Queue[dict[str, Any]]) -> Any:
    def listen(environment: Environment, msg: Message) -> None:
        queue.put(msg.data)

    return listen


def main() -> int:
    """Join, work, and say how it went."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever locust prints goes to the log
    pipe = Pipe(out)
    line, rest = read_line(0)
    parent = Parent(0, rest)
    gevent.spawn(parent.listen)
    worker: Worker | None = None
    try:
        worker = join(json.loads(line), pipe, parent)
        if not worker.work():
            pipe.write({"type": "idle"})
    except (CrmopsError, ConnectionLost) as error:
        hint = getattr(error, "hint", "")
        if worker is not None:
            worker.fail(str(error), hint)
        pipe.write({"type": "error", "message": str(error), "hint": hint})
        return 4
    finally:
        if worker is not None:
            worker.leave()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
