"""Workers on other machines, to the parent of a run the same as processes on this one."""

from __future__ import annotations

import json
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from crmops.cli_support import note
from crmops.errors import CannotRun
from loadtests.distributed.address import find_secret, parse_address
from loadtests.distributed.luggage import packed
from loadtests.generator import START_LIMIT, Child, GeneratorLost, Message
from loadtests.plan import Plan
from loadtests.settings import Distributed

FAREWELL = 15.0
"""Seconds in which workers that were stopped hand over what they have."""

WORDS = {
    "lost": "load worker {worker} ({name}) was lost after {at:.0f} s: it {why}",
    "regained": "load worker {worker} ({name}) {why} after {at:.0f} s",
    "gap": "load worker {worker} ({name}), after {at:.0f} s: {why}",
}
"""What casts a doubt on the numbers, in the words of the verdict."""

NEWS = {
    "joined": "a load worker has joined from {name}",
    "left": "load worker {worker} ({name}) has left before the beginning: it {why}",
    "refused": "warning: a load worker was refused: {why}",
}


class Master(Child):
    """The process with locust's master."""

    last_words = ("over", "error")


class Fleet:
    """All workers of a run, as one.

    The constructor waits until as many have joined as there are plans; ``waiting`` is called
    meanwhile.  A worker that is lost casts a doubt on the numbers but ends nothing as long as
    another is there.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        folder: Path,
        silence: float,
        settings: Distributed,
        waiting: Callable[[], None],
    ) -> None:
        self.incidents: list[str] = []
        self.versions: dict[str, str] = {}
        self.address = parse_address(settings.listen, "--listen")
        secret = find_secret(None, configured=settings.secret)
        order = {
            "host": self.address.host,
            "port": self.address.port,
            "secret": secret.reveal(),
            "folder": str(folder),
            "silence": silence,
            "plans": [{**asdict(each), "target": packed(each.target)} for each in plans],
        }
        line = json.dumps(order, ensure_ascii=False).encode() + b"\n"
        self._wanted, self._joined = len(plans), 0
        self._selector = selectors.DefaultSelector()
        log = folder / "generator-master.log"
        self._silence = silence
        self.master = Master("loadtests.child.master", line, log, START_LIMIT, "the load master")
        self._selector.register(self.master.output, selectors.EVENT_READ)
        try:
            self._wait_ready(settings.wait, waiting)
        except BaseException:
            self.end()
            raise

    def go(self) -> None:
        """Begin the load, everywhere at once."""
        self.master.go()

    def messages(self, wait: float) -> Iterator[tuple[int, Message]]:
        """What has arrived within ``wait`` seconds, and from which.  Raises GeneratorLost."""
        for message in self._received(wait):
            kind = message["type"]
            if kind in WORDS:
                self.incidents.append(WORDS[kind].format(**message))
                note(f"warning: {self.incidents[-1]}")
            elif kind in NEWS:
                note(NEWS[kind].format(**message))
            elif kind == "error":
                raise GeneratorLost(message["message"], hint=message["hint"])
            elif kind == "over" and message["forsaken"]:
                raise GeneratorLost(
                    "no load worker was left",
                    hint="Look why they ended, where they were started.",
                )
            yield message.get("worker", 0), message

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.master.done

    def stop(self) -> None:
        """Ask all to end."""
        self.master.stop()

    def end(self) -> None:
        """End all, whatever they are doing; their journals are waited for."""
        self.master.stop()
        until = time.monotonic() + FAREWELL
        with suppress(GeneratorLost):
            while not self.master.done and time.monotonic() < until:
                self._received(0.5)
        self.master.end()
        self._selector.close()

    def _received(self, wait: float) -> list[Message]:
        found = self.master.receive() if self._selector.select(wait) else []
        self.master.check_silence()
        return found

    def _wait_ready(self, wait: float, waiting: Callable[[], None]) -> None:
        until = time.monotonic() + wait
        while time.monotonic() < until:
            waiting()
            for message in self._received(1.0):
                kind = message["type"]
                if kind == "error":
                    raise CannotRun(message["message"], hint=message["hint"])
                if kind == "listening":
                    where = self.address._replace(port=message["port"])
                    self.master.silence = self._silence
                    note(f"waiting for {self._wanted} load workers on {where}")
                elif kind in NEWS:
                    self._joined += {"joined": 1, "left": -1}.get(kind, 0)
                    note(NEWS[kind].format(**message))
                elif kind == "ready":
                    self.versions = {"locust": message["locust"]}
                    return
        raise CannotRun(
            f"{self._joined} of {self._wanted} load workers have joined within {wait:g} s",
            hint=f"Start `crmops load worker --master HOST:{self.address.port}` elsewhere, "
            "with the same secret.",
        )
