"""A rehearsal from its first server to its verdict; reads as the list of what happens."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from crmops.cli_support import console, note
from crmops.config import Config, load_config
from crmops.demo.data import OwnData
from crmops.demo.display import Display, Line
from crmops.demo.place import Place
from crmops.demo.processes import Processes
from crmops.demo.settings import GATE, write_config
from crmops.demo.stack import CONTACTS, Stack
from crmops.demo.stages import Rehearsal, Stage, stages
from crmops.errors import CannotRun
from crmops.gate import Decision, Gates, check_gate
from crmops.gate_cli import gate_table
from crmops.history import History, open_history
from crmops.model import PLURALS
from crmops.record import Kind, Verdict
from crmops.units import human_seconds

SUITES = ("accounts", "contacts")
SETTLE = 20.0
"""Seconds that the probes may take, after the fault, to walk once more."""


def rehearse(
    place: Place, own: OwnData | None, skipped: tuple[str, ...], *, stay: bool, began: float
) -> Verdict:
    """Rehearse, print the gate's table and return its verdict.

    With ``stay`` the servers go on until Ctrl-C, so that the console can be looked at.
    """
    processes = Processes(place.logs, place.journal)
    stack = Stack(place, processes)
    with _interruptible():
        try:
            decision = _rehearse(place, stack, processes, own, skipped)
            console().print(gate_table(decision))
            note(
                f"{decision.word.upper()} after {human_seconds(time.monotonic() - began)}",
                always=True,
            )
            note(f"evidence: {place.state}  console: {stack.console}/launch/{GATE}", always=True)
            if stay:
                note("the servers go on until Ctrl-C", always=True)
                _stay(processes)
            return decision.verdict
        finally:
            _deaf()
            processes.stop_all()


def _rehearse(
    place: Place,
    stack: Stack,
    processes: Processes,
    own: OwnData | None,
    skipped: tuple[str, ...],
) -> Decision:
    suites = SUITES if own is None else (PLURALS[own.entity],)
    work = [each for each in stages(suites) if each.name not in skipped]
    crm = Line("crm", "the reference CRM on its own PostgreSQL")
    serve = Line("crmops", "scheduler, exporter and console")
    watch = Line("alerting", "Prometheus and Alertmanager")
    fill = Line("import", f"your file {own.path.name}" if own else "")
    lines = [Line(each.name, each.what) for each in work]
    display = Display([crm, serve, *([fill] if own else []), watch, *lines])
    with display.shown():
        history = _start(place, stack, processes, display, crm, serve, own)
        try:
            rehearsal = Rehearsal(place, processes, display, history)
            if own is not None:
                rehearsal.own_data(fill, own)
            alerting = _alerting(stack, display, watch)
            for line, stage in zip(lines, work, strict=True):
                _run(rehearsal, display, line, stage, alerting)
            _settle(history)
            return _decide(load_config(place.config), history)
        finally:
            history.close()


def _start(
    place: Place,
    stack: Stack,
    processes: Processes,
    display: Display,
    crm: Line,
    serve: Line,
    own: OwnData | None,
) -> History:
    suites = SUITES if own is None else (PLURALS[own.entity],)

    def start_crm() -> str:
        facts = stack.start_crm(contacts=0 if own else CONTACTS)
        write_config(place.config, facts, sys.executable, suites, imported=own is not None)
        rows = "empty, for your file" if own else f"{CONTACTS} contacts and their neighbours"
        return f"{facts.url}, {rows}"

    config_history: list[History] = []

    def start_serve() -> str:
        config = load_config(place.config)
        config_history.append(open_history(config.history_url, config.artifacts_dir))
        return stack.start_crmops()

    for line, work in ((crm, start_crm), (serve, start_serve)):
        display.begin(line)
        try:
            said = work()
        except BaseException as error:
            display.end(line, "error", str(error) or "interrupted")
            raise
        display.end(line, "pass", said)
    return config_history[0]


def _alerting(stack: Stack, display: Display, line: Line) -> str:
    """Start what raises alerts; where that is impossible, why: the gate will say unknown."""
    display.begin(line)
    try:
        stack.start_alerting()
    except CannotRun as error:
        display.end(line, "unknown", f"{error} {error.hint}")
        return str(error)
    display.end(line, "pass", "rules loaded, alerts go to crmops")
    return ""


def _run(rehearsal: Rehearsal, display: Display, line: Line, stage: Stage, no_alerts: str) -> None:
    if stage.kind is Kind.ALERT and no_alerts:
        display.begin(line)
        display.end(line, "unknown", f"not rehearsed: {no_alerts}")
        return
    rehearsal.run(line, stage)


def _settle(history: History) -> None:
    """Let every probe walk once more: the newest walk may still be of the slow half minute."""
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        newest: dict[str, Verdict] = {}
        for run in history.find(Kind.PROBE, finished=True, limit=20):
            newest.setdefault(run.subject, run.verdict)
        if newest and all(each is Verdict.PASS for each in newest.values()):
            return
        time.sleep(0.5)


def _decide(config: Config, history: History) -> Decision:
    gate = config.parse("gates", Gates).root[GATE]
    _, decision = check_gate(
        history, GATE, gate, config.default_target, config_digest=config.digest
    )
    return decision


def _stay(processes: Processes) -> None:
    told: set[str] = set()
    try:
        while True:
            for each in processes.lost():
                if each.name not in told:
                    told.add(each.name)
                    note(f"{each.name} {each.gone}; its log is {each.log}", always=True)
            time.sleep(0.5)
    except KeyboardInterrupt:
        note("stopping", always=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end a rehearsal as Ctrl-C does: with everything stopped."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _deaf() -> None:
    """Stopping must not be cut short by an impatient second Ctrl-C."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
