"""The servers of a rehearsal: reference CRM, crmops itself, Prometheus, Alertmanager."""

from __future__ import annotations

import dataclasses
import os
import sys
import time

import httpx

from crmops.binaries import alertmanager_command, prometheus_command
from crmops.demo.place import Place, free_port, owned_folder, server_user
from crmops.demo.processes import Child, Processes, last_words, wait_for_file
from crmops.demo.settings import Facts
from crmops.errors import CannotRun

CONTACTS = 20_000
USERS = 600
START_PATIENCE = 120.0


class Stack:
    """Starts the servers one after the other; every later one knows where the earlier ones are."""

    def __init__(self, place: Place, processes: Processes) -> None:
        self.place = place
        self.processes = processes
        self.console = ""

    def start_crm(self, *, contacts: int) -> Facts:
        """The reference CRM on embedded PostgreSQL, filled.  Raises CannotRun."""
        ready = self.place.scratch / "refcrm.json"
        command = [
            sys.executable, "-m", "refcrm", "up",
            "--dir", str(self.place.scratch / "refcrm"),
            "--contacts", str(contacts), "--users", str(USERS),
            "--faults", "--ready-file", str(ready),
        ]  # fmt: skip
        child = self.processes.start("refcrm", command)
        found = wait_for_file(ready, child, START_PATIENCE)
        names = [each.name for each in dataclasses.fields(Facts)]
        return Facts(**{name: str(found[name]) for name in names})

    def start_crmops(self) -> str:
        """``crmops serve``: scheduler, exporter, receiver and console.  Returns its address."""
        ready = self.place.state / "serve.json"
        command = [*crmops(self.place), "serve", "--port", "0", "--ready-file", str(ready)]
        child = self.processes.start("serve", command)
        self.console = str(wait_for_file(ready, child, START_PATIENCE)["url"])
        return self.console

    def start_alerting(self) -> None:
        """Prometheus and Alertmanager.  Raises CannotRun with the fix where one cannot start."""
        folder = owned_folder(self.place.scratch / "alerting")
        alertmanager = f"http://127.0.0.1:{free_port()}"
        prometheus = f"http://127.0.0.1:{free_port()}"
        rules, scrape, routes = (folder / n for n in ("rules.yml", "prometheus.yml", "am.yml"))
        self._write("alerts-rules", "rules", "--out", rules)
        self._write("alerts-config", "config", "--url", self.console, "--out", routes)
        self._write(
            "alerts-prometheus", "prometheus", "--url", self.console, "--rules", rules,
            "--alertmanager", alertmanager, "--interval", "1", "--out", scrape,
        )  # fmt: skip
        first = self.processes.start(
            "alertmanager",
            alertmanager_command(
                [
                    f"--config.file={routes}",
                    f"--storage.path={owned_folder(folder / 'alertmanager')}",
                    f"--web.listen-address={alertmanager.removeprefix('http://')}",
                    "--cluster.listen-address=",
                ],
                run_as=server_user(),
            ),
        )
        _wait_ready(f"{alertmanager}/-/ready", first)
        second = self.processes.start(
            "prometheus",
            prometheus_command(
                [
                    f"--config.file={scrape}",
                    f"--storage.tsdb.path={owned_folder(folder / 'prometheus')}",
                    f"--web.listen-address={prometheus.removeprefix('http://')}",
                ],
                run_as=server_user(),
            ),
        )
        _wait_ready(f"{prometheus}/-/ready", second)

    def _write(self, name: str, *arguments: object) -> None:
        command = [*crmops(self.place), "alerts", *map(str, arguments)]
        child = self.processes.start(name, command)
        code = child.process.wait(60)
        self.processes.forget(child)
        if code != 0:
            raise CannotRun(f"{name} failed: {last_words(child.log)}")


def crmops(place: Place) -> list[str]:
    """The command that runs crmops on this rehearsal's configuration."""
    return [sys.executable, "-m", "crmops", "--config", str(place.config)]


def stage_environment() -> dict[str, str]:
    """What a stage's command sees: our own environment, and no colours in its log."""
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


def _wait_ready(url: str, child: Child, patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    with httpx.Client(timeout=2, trust_env=False) as http:
        while time.monotonic() < deadline:
            if child.gone:
                raise CannotRun(f"{child.name} {child.gone}: {last_words(child.log)}")
            try:
                if http.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
    raise CannotRun(f"{child.name} was not ready within {patience:.0f} s")
