"""The stages of a rehearsal, in order, and how each is carried out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crmops.config import load_config
from crmops.demo.data import OwnData, import_own_data
from crmops.demo.display import Display, Line
from crmops.demo.place import Place
from crmops.demo.processes import Processes, last_words
from crmops.demo.settings import GATE
from crmops.demo.stack import crmops, stage_environment
from crmops.errors import CrmopsError, ExitCode
from crmops.history import History
from crmops.record import Kind, Verdict
from crmops.units import human_value

WORDS = {
    ExitCode.PASS: Verdict.PASS,
    ExitCode.FAIL: Verdict.FAIL,
    ExitCode.UNKNOWN: Verdict.UNKNOWN,
}
SHOWN_LIVE = ("users", "request.rate", "response_time.p95", "error.ratio")
PEOPLE, SECONDS = 500, 60


@dataclass(frozen=True, slots=True)
class Stage:
    """A command of crmops that is one stage; ``kind`` is of the run that it leaves."""

    name: str
    what: str
    kind: Kind
    arguments: tuple[str, ...]


def stages(suites: tuple[str, ...]) -> tuple[Stage, ...]:
    """What is rehearsed, in order."""
    load = ("load", "run", "launch", "--users", str(PEOPLE), "--duration", str(SECONDS))
    return (
        Stage("load", f"{PEOPLE} people at work for {SECONDS} s", Kind.LOAD, load),
        Stage("audit", "the quality of the data", Kind.DQ, ("dq", "run", *suites)),
        Stage("backup", "of the CRM's database, verified", Kind.BACKUP, ("backup", "run")),
        Stage("drill", "restore in isolation and compare", Kind.DRILL, ("drill", "run")),
        Stage("alert", "the CRM answers slowly for 30 s", Kind.ALERT, ("alerts", "rehearse")),
    )


class Rehearsal:
    """Carries stages out, one command each, and says how they went."""

    def __init__(
        self, place: Place, processes: Processes, display: Display, history: History
    ) -> None:
        self._place = place
        self._processes = processes
        self._display = display
        self._history = history

    def step(self, line: Line, work: Callable[[], str]) -> None:
        """A stage that is done here; its exception ends the rehearsal."""
        self._display.begin(line)
        try:
            said = work()
        except CrmopsError as error:
            self._display.end(line, "error", str(error))
            raise
        except BaseException:
            self._display.end(line, "error", "interrupted")
            raise
        self._display.end(line, "pass", said)

    def run(self, line: Line, stage: Stage) -> None:
        """A stage that is a command; whatever becomes of it, the rehearsal goes on."""
        line.alive = lambda: self._alive(stage.kind)
        self._display.begin(line)
        verdict, said = self._carry_out(stage)
        dead = ", ".join(f"{each.name} {each.gone}" for each in self._processes.lost())
        self._display.end(line, verdict, f"{said} ({dead})" if dead else said)

    def own_data(self, line: Line, data: OwnData) -> None:
        """The stage that imports a person's own file."""
        self._display.begin(line)
        config = load_config(self._place.config)
        run = import_own_data(data, config.target(), self._history, config_digest=config.digest)
        self._display.end(line, run.verdict, run.reason)

    def _carry_out(self, stage: Stage) -> tuple[str, str]:
        output = self._place.logs / f"{stage.name}.json"
        command = [*crmops(self._place), *stage.arguments, "--json"]
        child = self._processes.start(stage.name, command, env=stage_environment(), stdout=output)
        try:
            while not child.gone:
                time.sleep(0.1)
            code = child.process.returncode
        finally:
            self._processes.forget(child)
        self._history.reap()
        verdict = (
            WORDS.get(ExitCode(code), Verdict.ERROR) if code in set(ExitCode) else Verdict.ERROR
        )
        if code < 0:
            return Verdict.ERROR, f"the command was {child.gone}"
        return verdict, _reason(output) or last_words(child.log)

    def _alive(self, kind: Kind) -> str:
        """What the running stage has measured so far."""
        for live in self._history.live():
            if live.run.kind is kind:
                known = {m.name: m for m in live.measures}
                shown = [known[n] for n in SHOWN_LIVE if n in known]
                return "  ".join(f"{m.name} {human_value(m.value, m.unit)}" for m in shown)
        return ""


def _reason(output: Path) -> str:
    """The reasons in what a command printed: of one run, or of several."""
    try:
        document = json.loads(output.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    runs = document.get("runs") or document.get("items") or [document]
    found = [f"{run['subject']}: {run['reason']}" for run in runs if "subject" in run]
    return "; ".join(found) or str(document.get("reason", ""))


def gate_arguments() -> tuple[str, ...]:
    """The command that decides the rehearsal's gate."""
    return ("gate", "check", GATE)
