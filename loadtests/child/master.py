"""``python -m loadtests.child.master``: locust's master, for workers on other machines.

Standard input: one line (where to listen, the secret, a plan for each part of the load), then
``go``; its end, or ``stop``, ends the load.  Standard output: JSON lines, those of each worker
with its number (``delta``, ``done``), and what happens to workers (``joined``, ``lost``, ...).

A part whose worker is lost is given to the next one that joins, for the time that is left.
"""

from __future__ import annotations

import locust  # isort: skip  # first of all: it patches the standard library
import json
import os
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.exception import RPCError
from locust.rpc import Message
from locust.runners import MasterRunner

from crmops import __version__
from crmops.errors import CannotRun, CrmopsError
from loadtests.child.curve import derive_keys, seal
from loadtests.child.deliveries import JournalKeeper
from loadtests.child.generator import Line
from loadtests.child.pipe import Parent, Pipe, read_line

LEAD = 1.0
"""Seconds between ``go`` and the beginning: every worker has heard it by then."""

LOOK = 0.25
PATIENCE = 20.0
"""Seconds that a worker may be silent while its people gather, which keeps it busy."""

FAREWELL = 8.0
"""Seconds that workers are given to hand over what they have once the load is stopped."""


@dataclass(slots=True)
class Share:
    """One part of the load: its plan, and the worker that has it."""

    number: int
    plan: dict[str, Any]
    holder: str = ""
    holders: int = 0
    ready: bool = False
    done: bool = False
    lost: bool = False
    reports: int = 0
    journal: str = ""


@dataclass(slots=True)
class Peer:
    """One worker that has joined."""

    name: str
    heard: float
    share: Share | None = None
    left: bool = False


class Runner(MasterRunner):
    """Locust's master, which also lets us know whenever a worker is heard of."""

    heard: Callable[[str, Message], None]

    def handle_message(self, client_id: str, msg: Message) -> None:
        """Hear of it, then let locust do what it does."""
        self.heard(client_id, msg)
        if msg.type != "locustfile":  # asks for what this master does not have
            super().handle_message(client_id, msg)


@dataclass(slots=True)
class Master:
    """Gives parts of the load to workers and hands on what they say."""

    pipe: Line
    runner: Runner
    shares: list[Share]
    keeper: JournalKeeper
    seconds: float
    silence: float
    peers: dict[str, Peer] = field(default_factory=dict)
    begins: float | None = None
    closing: float = float("inf")
    said_ready: bool = False

    def serve(self) -> None:
        """Listen to the workers."""
        self.runner.heard = self._heard
        for name, listener in (
            ("hello", self._hello), ("clock", self._clock), ("ready", self._ready),
            ("delta", self._delta), ("journal", self._journal), ("done", self._done),
            ("failed", self._failed),
        ):  # fmt: skip
            self.runner.register_message(f"crmops_{name}", _safely(listener))

    def go(self) -> None:
        """Begin, everywhere at once."""
        self.begins = time.monotonic() + LEAD
        for share in self.shares:
            self._start(share)

    def stop(self) -> None:
        """Ask everybody to end; they drain for two seconds and say ``done``."""
        self.closing = min(self.closing, time.monotonic() + FAREWELL)
        for client_id, peer in self.peers.items():
            if not peer.left:
                self._send(client_id, "stop", {})

    def over(self) -> bool:
        """Whether nothing more will come."""
        now = time.monotonic()
        if all(each.done for each in self.shares):
            return True
        if self.begins is None:
            return now > self.closing
        end = self.begins + self.seconds
        waited = self.silence + FAREWELL
        rest = [each for each in self.shares if not each.done]
        return (now > end and all(each.lost for each in rest)) or now > min(
            self.closing, end + waited + float(self.shares[0].plan["target"].get("timeout", 30))
        )

    def look(self) -> None:
        """Find out who has fallen silent; called several times a second."""
        now = time.monotonic()
        limit = max(self.silence, 0.0 if self.begins is not None else PATIENCE)
        for client_id, peer in list(self.peers.items()):
            if not peer.left and now - peer.heard > limit:
                self._lose(client_id, f"said nothing for {limit:g} s")

    def forsaken(self) -> float:
        """For how many seconds no worker has been there while the load goes on."""
        if self.begins is None or any(not each.left for each in self.peers.values()):
            return 0.0
        return time.monotonic() - max((each.heard for each in self.peers.values()), default=0.0)

    def farewell(self) -> None:
        """Tell everybody that they may go, and let the words leave."""
        for share in self.shares:
            if self.begins is not None and not share.done and not share.lost:
                self._tell("gap", share, self.peers[share.holder], why="it never said it was done")
        self.runner.quit()
        self.runner.server.socket.context.destroy(linger=2000)

    def _heard(self, client_id: str, msg: Message) -> None:
        if (peer := self.peers.get(client_id)) is None:
            return
        peer.heard = time.monotonic()
        if msg.type == "quit":
            self._lose(client_id, "ended")
        elif peer.left and peer.share is not None and peer.share.holder == client_id:
            peer.left = peer.share.lost = False
            self._tell("regained", peer.share, peer, why="was heard again")

    def _hello(self, client_id: str, data: dict[str, Any]) -> None:
        if client_id in self.peers:
            return
        versions = {"crmops": __version__, "locust": locust.__version__}
        if data["versions"] != versions:
            theirs = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
            ours = ", ".join(f"{name} {version}" for name, version in versions.items())
            self.pipe.write({"type": "refused", "why": f"{data['name']} has {theirs}, not {ours}"})
            self._send(client_id, "no", {"message": f"the master has {ours}, this worker {theirs}"})
            return
        self.peers[client_id] = Peer(str(data["name"]), time.monotonic())
        self.pipe.write({"type": "joined", "name": data["name"]})
        self._assign()

    def _assign(self) -> None:
        """Give the parts that nobody has to those who have none."""
        idle = [name for name, each in self.peers.items() if not each.left and each.share is None]
        for share in self.shares:
            if share.done or (share.holder and not share.lost) or not idle:
                continue
            share.holder = idle.pop(0)
            share.holders += 1
            share.ready = share.lost = False
            share.reports = 0
            share.journal = f"{share.number:02d}-{share.holders}-journal.jsonl"
            self.peers[share.holder].share = share
            plan = {**share.plan, "journal": share.journal}
            body = zlib.compress(json.dumps(plan, ensure_ascii=False).encode())
            self._send(share.holder, "plan", {"plan": body, "silence": self.silence})

    def _clock(self, client_id: str, data: dict[str, Any]) -> None:
        self._send(client_id, "clock", {**data, "here": time.monotonic()})

    def _ready(self, client_id: str, _data: dict[str, Any]) -> None:
        share = self.peers[client_id].share
        if share is None or share.holder != client_id:
            return
        share.ready = True
        if self.begins is not None:
            self._start(share)
            if share.holders > 1:
                self._tell("regained", share, self.peers[client_id], why="was taken up again")
        elif all(each.ready for each in self.shares) and not self.said_ready:
            self.said_ready = True
            self.pipe.write({"type": "ready", "locust": locust.__version__, "pid": os.getpid()})

    def _start(self, share: Share) -> None:
        if share.ready and self.begins is not None:
            since = max(time.monotonic() - self.begins, 0.0) if share.holders > 1 else 0.0
            self._send(share.holder, "go", {"begins": self.begins, "since": since})

    def _delta(self, client_id: str, data: dict[str, Any]) -> None:
        share = self._share_of(client_id)
        if share is None:
            return
        missed, share.reports = data["number"] - share.reports - 1, data["number"]
        if missed:
            why = f"{missed} reports of it did not arrive"
            self._tell("gap", share, self.peers[client_id], why=why)
        delta = json.loads(zlib.decompress(data["body"]))
        self.pipe.write({**delta, "type": "delta", "worker": share.number})

    def _journal(self, client_id: str, data: dict[str, Any]) -> None:
        kept = self.keeper.keep(data["name"], data["at"], data["body"])
        self._send(client_id, "kept", {"name": data["name"], "size": kept})

    def _done(self, client_id: str, data: dict[str, Any]) -> None:
        share = self._share_of(client_id)
        if share is None or share.done:
            return
        peer = self.peers[client_id]
        if data["rest"]:
            why = f"its journal is not whole; the rest is at {peer.name}, {data['rest']}"
            self._tell("gap", share, peer, why=why)
        self._send(client_id, "over", {})
        if data["stopped"] and self.closing == float("inf"):  # nobody here has asked it to
            self._lose(client_id, data["why"] or "ended before the end")
            return
        share.done = True
        self.pipe.write({"type": "done", "worker": share.number, "stopped": data["stopped"]})

    def _failed(self, client_id: str, data: dict[str, Any]) -> None:
        """A worker cannot do its part: before the beginning the run cannot either."""
        peer = self.peers.get(client_id)
        if peer is None or peer.share is None:
            return
        if self.begins is None:
            message = f"{peer.name}: {data['message']}"
            self.pipe.write({"type": "error", "message": message, "hint": data["hint"]})
        else:
            self._lose(client_id, f"gave up: {data['message']}")

    def _share_of(self, client_id: str) -> Share | None:
        """The part that a worker has; one that was given to another is no longer its own."""
        share = self.peers[client_id].share if client_id in self.peers else None
        if share is not None and share.holder != client_id:
            self._send(client_id, "stop", {})
            return None
        return share

    def _lose(self, client_id: str, why: str) -> None:
        peer = self.peers[client_id]
        if peer.left:
            return
        peer.left = True
        share = peer.share
        if share is None or share.done or share.holder != client_id:
            return
        if self.begins is None:
            share.holder = ""
            self._tell("left", share, peer, why=why)
        else:
            share.lost = True
            self._tell("lost", share, peer, why=why)
        self._assign()

    def _tell(self, kind: str, share: Share, peer: Peer, why: str) -> None:
        at = 0.0 if self.begins is None else max(time.monotonic() - self.begins, 0.0)
        message = {"type": kind, "worker": share.number, "name": peer.name, "at": at, "why": why}
        self.pipe.write(message)

    def _send(self, client_id: str, kind: str, data: dict[str, Any]) -> None:
        self.runner.send_message(f"crmops_{kind}", data, client_id=client_id)


def _safely(listener: Callable[[str, dict[str, Any]], None]) -> Callable[..., None]:
    """A listener for locust: what a worker sends in another form than ours is not its undoing."""

    def listen(environment: Environment, msg: Message) -> None:
        try:
            listener(msg.node_id, msg.data)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            sys.stderr.write(f"a {msg.type} that makes no sense: {type(error).__name__}\n")

    return listen


def open_master(order: dict[str, Any], pipe: Pipe) -> Master:
    """A master that listens.  Raises CannotRun."""
    told: list[float] = []

    def refused() -> None:
        if not told:
            told.append(time.monotonic())
            pipe.write({"type": "refused", "why": "somebody who does not know the secret"})

    seal(derive_keys(order["secret"]), refused)
    environment = Environment(user_classes=[])
    try:
        runner = Runner(environment, order["host"], order["port"])
    except (RPCError, SystemExit) as error:
        raise CannotRun(
            f"cannot listen on {order['host']}:{order['port']}: {_cause(error)}",
            hint="Choose another --listen; port 0 takes any that is free.",
        ) from None
    environment.runner = runner
    plans = order["plans"]
    shares = [Share(number, plan) for number, plan in enumerate(plans)]
    seconds = sum(float(each["seconds"]) for each in plans[0]["workload"]["phases"])
    keeper = JournalKeeper(Path(order["folder"]))
    return Master(pipe, runner, shares, keeper, seconds, order["silence"])


def _cause(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "address already in use"
    words = str(error).removeprefix("Socket bind failure: ").lower()
    return words.partition(" (addr=")[0] or "it is no address of this machine"


def main() -> int:
    """Listen, begin when told to, and end when all is over."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever locust prints goes to the log
    pipe = Pipe(out)
    line, rest = read_line(0)
    try:
        master = open_master(json.loads(line), pipe)
    except CrmopsError as error:
        pipe.write({"type": "error", "message": error.message, "hint": error.hint})
        return 4
    master.serve()
    parent = Parent(0, rest)
    gevent.spawn(parent.listen)
    pipe.write({"type": "listening", "port": master.runner.server.port})
    began = stopped = False
    while not master.over():
        if parent.go.is_set() and not began and not parent.stop.is_set():
            began = True
            master.go()
        if parent.stop.is_set() and not stopped:
            stopped = True
            master.stop()
            if not began:
                break
        master.look()
        pipe.write({"type": "beat"})
        if master.forsaken() > master.silence:
            break
        gevent.sleep(LOOK)
    master.farewell()
    pipe.write({"type": "over", "forsaken": master.forsaken() > master.silence})
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
