"""The generator processes as the parent sees them: started, listened to, ended."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from crmops.errors import CannotRun
from loadtests.plan import Plan

START_LIMIT = 60.0
"""Seconds in which a generator must be ready."""

STOP_LIMIT = 10.0
"""Seconds that an ended generator is given before it is killed."""

Message = dict[str, Any]


class GeneratorLost(CannotRun):
    """A generator process died or fell silent."""


class Child:
    """One child process: an order goes in, JSON lines come out.  Errors call it ``name``."""

    last_words: tuple[str, ...] = ("done",)
    """What a child says before it may end."""

    def __init__(self, module: str, order: bytes, log: Path, silence: float, name: str) -> None:
        self._name = name
        self._log_path = log
        self.silence = silence
        self._buffer = b""
        self.done = False
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
                start_new_session=True,
                bufsize=0,
            )
        if self.process.stdin is None or self.process.stdout is None:
            raise CannotRun(f"{name} has no pipes")
        self._input: IO[bytes] = self.process.stdin
        self.output: IO[bytes] = self.process.stdout
        self.heard = time.monotonic()
        self._tell(order)

    def go(self) -> None:
        """Begin the load."""
        self._tell(b"go\n")

    def stop(self) -> None:
        """Ask it to end; it drains for two seconds and says ``done``."""
        with suppress(GeneratorLost):
            self._tell(b"stop\n")

    def receive(self) -> list[Message]:
        """The messages that have arrived.  Raises GeneratorLost at its untimely end."""
        data = os.read(self.output.fileno(), 1 << 20)
        self.heard = time.monotonic()
        if not data:
            if self.done:
                return []
            raise self._lost()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        messages = [json.loads(line) for line in lines if line]
        self.done = self.done or any(each["type"] in self.last_words for each in messages)
        return messages

    def check_silence(self) -> None:
        """Raise GeneratorLost if nothing was heard for too long."""
        silent = time.monotonic() - self.heard
        if not self.done and silent > self.silence:
            self.kill()
            raise GeneratorLost(
                f"{self._name} said nothing for {silent:.0f} s and was ended",
                hint="The machine was overloaded or suspended; use fewer people, or more workers.",
            )

    def end(self) -> None:
        """Close the pipes and wait for its end; kill it if that takes too long.

        Nobody reads any longer: it must not wait for us to.
        """
        for pipe in (self._input, self.output):
            with suppress(OSError):
                pipe.close()
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def _tell(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._input.write(data) or 0 :]
        except OSError:
            raise self._lost() from None

    def _lost(self) -> GeneratorLost:
        try:
            status = self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            status = -signal.SIGKILL
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended ({status})"
        hint = "Look for the kernel's out-of-memory killer in dmesg." if status == -9 else ""
        last = self._last_words()
        text = f"{self._name} {how}"
        return GeneratorLost(f"{text}: {last}" if last else text, hint=hint)

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self._log_path.read_text(errors="replace").strip().splitlines()
            return lines[-1][:200] if lines else ""
        return ""


class Generator(Child):
    """One generator process of this machine."""

    def __init__(self, plan: Plan, log: Path, silence: float) -> None:
        self.worker = plan.worker
        name = f"load generator {plan.worker}"
        super().__init__("loadtests.child", plan.dump(), log, silence, name)


class Generators:
    """All generator processes of a run, as one."""

    def __init__(self, plans: Sequence[Plan], folder: Path, silence: float) -> None:
        self._selector = selectors.DefaultSelector()
        self.all: list[Generator] = []
        self.versions: dict[str, str] = {}
        self.incidents: list[str] = []
        try:
            for plan in plans:
                log = folder / f"generator{plan.worker}.log"
                self.all.append(Generator(plan, log, silence))
            for each in self.all:
                self._selector.register(each.output, selectors.EVENT_READ, each)
            self._wait_ready()
        except BaseException:
            self.end()
            raise

    def go(self) -> None:
        """Begin the load, everywhere at once."""
        for each in self.all:
            each.heard = time.monotonic()
            each.go()

    def messages(self, wait: float) -> Iterator[tuple[int, Message]]:
        """What has arrived within ``wait`` seconds, and from which.  Raises GeneratorLost."""
        for key, _ in self._selector.select(wait):
            generator: Generator = key.data
            for message in generator.receive():
                yield generator.worker, message
            if generator.done:
                self._selector.unregister(generator.output)
        for generator in self.all:
            generator.check_silence()

    @property
    def done(self) -> bool:
        """Whether every generator has said that it is over."""
        return all(each.done for each in self.all)

    def stop(self) -> None:
        """Ask all to end."""
        for each in self.all:
            each.stop()

    def end(self) -> None:
        """End all, whatever they are doing."""
        for each in self.all:
            each.stop()
        for each in self.all:
            each.end()
        self._selector.close()

    def _wait_ready(self) -> None:
        ready = 0
        until = time.monotonic() + START_LIMIT
        while ready < len(self.all):
            if time.monotonic() > until:
                raise GeneratorLost(f"the load generator was not ready within {START_LIMIT:g} s")
            for _, message in self.messages(1.0):
                if message["type"] == "error":
                    raise CannotRun(message["message"], hint=message["hint"])
                if message["type"] == "ready":
                    ready += 1
                    self.versions = {"locust": message["locust"]}


def _environment() -> dict[str, str]:
    """Our environment, with our own package to be found first."""
    root = str(Path(__file__).parent.parent)
    rest = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([root, rest] if rest else [root])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
