"""What is to be seen while somebody runs ``locust`` himself: the verdict so far in a tab of the web
page, and ``/metrics``.  On the master, or where there is only one process.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer
from locust.env import Environment
from locust.event import Events
from locust.runners import MasterRunner, WorkerRunner
from prometheus_client import make_wsgi_app

from crmops.record import new_id
from crmops.verdict import Check, Objective
from loadtests.child.health import Health
from loadtests.child.solo import PHASE, CrmUser, House, present_house
from loadtests.live import Live, look
from loadtests.live_metrics import Board, registry_of
from loadtests.result import Result
from loadtests.schedule import PhaseClock
from loadtests.settings import Settings
from loadtests.standalone import Terms
from loadtests.verdict import with_samples
from loadtests.workload import Phase, Workload

log = logging.getLogger("crmops.load")

PERIOD = 1.0
KEPT = 60
"""Seconds of which the timeline is kept: nobody draws it, and locust may run for days."""

LATE = 5.0
"""Seconds by which a worker's clock may be ahead of the master's."""

KEY = "crmops"
"""Under which the workers' counts travel to the master."""

LOOPBACK = "127.0.0.1"
TAB = "verdict"
COLUMNS = ("objective", "verdict", "value", "limit", "samples", "why")


@dataclass(frozen=True, slots=True)
class Demands:
    """What the verdict so far is about: the settings' objectives, over the whole of the test."""

    workload: Workload
    settings: Settings
    objectives: tuple[Objective, ...]

    @classmethod
    def of(cls, terms: Terms) -> Demands:
        """Of the terms.  Locust's tests have one phase, as long as it pleases."""
        whole = Phase(name=PHASE, seconds=terms.target.load.max_duration)
        workload = terms.workload.model_copy(update={"phases": (whole,)})
        objectives = with_samples(terms.settings.objectives, terms.settings.samples)
        return cls(workload, terms.settings, tuple(objectives))


class Desk:
    """Where everything that the processes of a locust test count comes together."""

    def __init__(self, environment: Environment, terms: Terms) -> None:
        self._environment = environment
        self._terms = terms
        self._demands = Demands.of(terms)
        self._health = Health()
        self._workers: dict[str, int] = {}
        self.board = Board(terms.target.name, terms.workload.name)
        self._begin()

    def _begin(self, **_ignored: Any) -> None:
        """Nothing is counted yet; what is left of an earlier test is forgotten."""
        house = present_house(self._environment)
        if house is not None:
            house.books.hand_over()
        self._health.hand_over()
        self._begun = time.monotonic()
        self._run = f"locust-{new_id()}"
        self._result = Result(PhaseClock([(PHASE, self._terms.target.load.max_duration)]))
        self._live = look(self._result, self._demands, self._run)

    def listen(self) -> None:
        """Begin to gather, each process in its part."""
        events, runner = self._environment.events, self._environment.runner
        events.test_start.add_listener(self._begin)  # type: ignore[no-untyped-call]
        if isinstance(runner, WorkerRunner):
            events.report_to_master.add_listener(self._report)  # type: ignore[no-untyped-call]
            return
        events.reset_stats.add_listener(self._begin)  # type: ignore[no-untyped-call]
        if isinstance(runner, MasterRunner):
            events.worker_report.add_listener(self._receive)  # type: ignore[no-untyped-call]
        gevent.spawn(self._watch)

    def _report(self, client_id: str, data: dict[str, Any]) -> None:
        """A worker's counts since its last report go along with locust's own."""
        del client_id
        house = present_house(self._environment)
        if house is not None:
            data[KEY] = self._delta(house)

    def _receive(self, client_id: str, data: dict[str, Any]) -> None:
        late = KEY in data and data[KEY]["at"] > time.monotonic() - self._begun + LATE
        if KEY in data and not late:  # a late one belongs to the test before
            worker = self._workers.setdefault(client_id, len(self._workers))
            self._take(worker, data[KEY])

    def _watch(self) -> None:
        while True:
            gevent.sleep(PERIOD)
            house = present_house(self._environment)
            if house is not None and not isinstance(self._environment.runner, MasterRunner):
                self._take(0, self._delta(house))
            self._live = look(self._result, self._demands, self._run)
            self.board.show(self._live)

    def _delta(self, house: House) -> dict[str, Any]:
        runner = self._environment.runner
        counts = runner.user_classes_count if runner is not None else {}
        roles = {
            each.__name__: each.role_name
            for each in self._environment.user_classes
            if issubclass(each, CrmUser)
        }
        return {
            "at": round(time.monotonic() - self._begun, 3),
            "present": {roles[name]: number for name, number in counts.items() if name in roles},
            "logged_in": 0,
            "queued": 0,
            **house.books.hand_over(),
            "health": self._health.hand_over(),
        }

    def _take(self, worker: int, delta: dict[str, Any]) -> None:
        seconds = self._result.seconds
        self._result.take(worker, delta)
        for at in [each for each in seconds if each < self._result.elapsed - KEPT]:
            del seconds[at]

    def rows(self) -> list[dict[str, Any]]:
        """The table of the tab: the test as a whole, then each objective."""
        return verdict_rows(self._live)


def verdict_rows(live: Live) -> list[dict[str, Any]]:
    """The verdict so far as rows of locust's table."""
    judgement = live.judgement
    whole = ("the test so far", judgement.verdict.value, "", "", live.requests, judgement.reason)
    rows = [whole, *(_row(each) for each in judgement.checks)]
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def _row(check: Check) -> tuple[str, str, str, str, int, str]:
    value = "-" if check.value is None else f"{check.value:.6g}"
    objective = check.objective
    limit = f"{objective.op} {objective.limit:g}"
    return (
        objective.measure, check.verdict.value, value, limit, check.observed, check.reason,
    )  # fmt: skip


def add_options(parser: Any, **_ignored: Any) -> None:
    """Locust's command gets the options of ``/metrics``."""
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=None,
        include_in_web_ui=False,
        env_var="CRMOPS_LOAD_METRICS_PORT",
        help="serve Prometheus metrics of the test on this port; 0: any free one",
    )
    parser.add_argument(
        "--metrics-host",
        default=LOOPBACK,
        include_in_web_ui=False,
        env_var="CRMOPS_LOAD_METRICS_HOST",
        help="the address that the metrics are served on",
    )


def show_live(environment: Environment, terms: Terms) -> None:
    """Gather what the test counts; show the verdict in the web page, serve metrics if asked to."""
    desk = Desk(environment, terms)
    desk.listen()
    if environment.web_ui is not None:
        _add_tab(environment.web_ui, desk)
    options = environment.parsed_options
    port = getattr(options, "metrics_port", None)
    if port is not None and not isinstance(environment.runner, WorkerRunner):
        _serve(desk.board, getattr(options, "metrics_host", LOOPBACK), port)


def _add_tab(web_ui: Any, desk: Desk) -> None:
    web_ui.template_args["extended_tabs"] = [{"title": "Verdict", "key": TAB}]
    structure = [{"key": each, "title": each.capitalize()} for each in COLUMNS]
    web_ui.template_args["extended_tables"] = [{"key": TAB, "structure": structure}]

    def add_rows(response: Any) -> Any:
        from flask import json, request

        if request.path.endswith("/stats/requests") and response.is_json:
            said = {**response.json, "extended_stats": [{"key": TAB, "data": desk.rows()}]}
            response.set_data(json.dumps(said))
        return response

    web_ui.app.after_request(add_rows)


def _serve(board: Board, host: str, port: int) -> None:
    server = WSGIServer((host, port), make_wsgi_app(registry_of(board)), log=None)
    try:
        server.start()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        sys.stderr.write(f"crmops: cannot listen on {host}:{port}: {why}\n")
        sys.stderr.write("        Choose another port with --metrics-port; 0 is any free one.\n")
        sys.exit(2)
    log.info("metrics on http://%s:%d/metrics", host, server.server_port)


def register(events: Events, terms: Terms) -> None:
    """Hook everything into locust."""

    def begin(environment: Environment, **_ignored: Any) -> None:
        show_live(environment, terms)

    events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]
    events.init.add_listener(begin)  # type: ignore[no-untyped-call]
