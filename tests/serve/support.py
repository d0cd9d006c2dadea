"""``crmops serve`` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 30


@dataclass
class Served:
    """A server that answers at ``url``."""

    url: str
    process: subprocess.Popen[str]
    ready: Path

    def end(self) -> tuple[int, str]:
        """Ask it to stop; its exit code and what it said on stderr."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            _, said = self.process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, said = self.process.communicate()
        return self.process.returncode, said


@contextmanager
def serving(
    config: Path, *options: str, cwd: Path | None = None, python: str = sys.executable
) -> Iterator[Served]:
    """A server for a configuration, on a free port; stopped by its pid."""
    ready = config.parent / ".crmops" / "ready.json"
    ready.parent.mkdir(exist_ok=True)
    command = [python, "-m", "crmops", "--config", str(config), "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--ready-file", str(ready), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1"},
    )
    served = Served("", process, ready)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"crmops serve did not start: {served.end()}")
            time.sleep(0.05)
        served.url = json.loads(ready.read_text())["url"]
        yield served
    finally:
        served.end()
