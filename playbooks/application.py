"""The application that is started on a restored copy, by the command of ``drills.smoke.serve``."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crmops.errors import CannotRun
from playbooks.job import JOB_VARIABLE, Job

_POLL = 0.1
_OURS = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")


@dataclass(frozen=True, slots=True)
class Application:
    """A running application; ``ready`` is the file in which it says where it answers."""

    process: subprocess.Popen[bytes]
    ready: Path
    health: str
    seconds: float

    @property
    def url(self) -> str:
        """Where it answers.  Raises OSError, ValueError or KeyError while it does not say so."""
        return str(json.loads(self.ready.read_bytes())["url"]).rstrip("/")

    def wait_healthy(self) -> str:
        """Nothing once it is healthy, else what kept it."""
        deadline = time.monotonic() + self.seconds
        problem = "it did not write its ready file"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return f"the application ended with code {self.process.returncode}"
            if self.ready.is_file():
                problem = self.ask()
                if not problem:
                    return ""
            time.sleep(_POLL)
        return f"{problem} within {self.seconds:.0f} s"

    def ask(self, seconds: float = 5.0) -> str:
        """Nothing if it answers that it is healthy, else what it did."""
        import httpx

        try:
            url = self.url + self.health
            if not url.startswith(_OURS):
                return "the ready file names an address that is not of this machine"
            code = httpx.get(url, timeout=seconds, trust_env=False).status_code
            return "" if code == 200 else f"{self.health} answered {code}"
        except (httpx.HTTPError, OSError, ValueError, KeyError):
            return f"{self.health} did not answer"


@contextmanager
def application_on(job: Job, address: str) -> Iterator[Application]:
    """Start the application on a copy, at the copy's address; it is ended afterwards.

    Raises CannotRun when its command cannot be started.
    """
    smoke, ready = job.settings.smoke, job.scratch / "ready.json"
    ready.unlink(missing_ok=True)
    command = [
        each.replace("{database_url}", address).replace("{ready_file}", str(ready))
        for each in smoke.serve
    ]
    with (job.scratch / "application.log").open("ab") as log:
        try:
            process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=_environment(job), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise CannotRun(
                f"{command[0]} cannot be started: {error.strerror}", hint="See drills.smoke.serve."
            ) from error
    try:
        yield Application(process, ready, smoke.health, smoke.timeout)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(job: Job) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", JOB_VARIABLE: job.id}
