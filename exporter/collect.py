"""The history as metrics, read afresh at each scrape."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client.metrics_core import Metric as Family
from sqlalchemy.exc import SQLAlchemyError

from crmops import __version__
from crmops.errors import HistoryError
from crmops.history import History
from crmops.periods import missed_periods
from crmops.record import Kind, Run, Verdict, utc_now
from exporter.families import Samples
from exporter.readings import GOOD_ONLY, READERS, read_live_load
from exporter.settings import Expected

log = logging.getLogger("crmops.exporter")

MOST_SUBJECTS = 500
"""Subjects of one kind that have series of their own; the rest are counted together."""

REST = "other"
LOOK_BACK = 50
"""So many runs are looked through for the newest good one."""

RESTORES = ("restore", "point-in-time")
"""The subjects of drills that keep the calendar."""

MOST_DRILLS = 200
"""Drills of one subject that are looked through."""

Subject = tuple[Kind, str, str]


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """A configured probe, exported from the start even if it never ran."""

    target: str
    journey: str
    limit: float
    every: float


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """How often a restore drill of a target must pass, seconds; exported from the start."""

    target: str
    every: float


@dataclass(eq=False)
class Collector:
    """Reads the history once a scrape.  A prometheus_client collector (``collect``)."""

    history: History
    probes: Sequence[ProbePlan] = ()
    expected: Sequence[Expected] = ()
    drills: Sequence[DrillPlan] = ()

    def collect(self) -> Iterator[Family]:
        """Every family that has something to say now.

        A history that cannot be read is a metric, no failed scrape: the scrape must not look as
        if the exporter were gone.
        """
        samples = Samples()
        try:
            self._read(samples)
            up = 1
        except (HistoryError, SQLAlchemyError, ValueError) as error:
            log.warning("the history could not be read for a scrape: %s", type(error).__name__)
            samples, up = Samples(), 0
        samples.set("crm_exporter_info", (__version__,), 1)
        samples.set("crm_history_up", (), up)
        yield from samples.families()

    def _read(self, samples: Samples) -> None:
        self._plans(samples)
        subjects = self._totals(samples)
        self._histograms(samples)
        self._open(samples)
        self._drills(samples)
        for kind, target, subject in sorted(subjects):
            run = self._newest(kind, target, subject)
            if run is not None:
                for name, labels, value in READERS[kind](run):
                    samples.known(name, labels, value)

    def _plans(self, samples: Samples) -> None:
        """What is planned or expected exists from the start, as never done."""
        for probe in self.probes:
            labels = (probe.target, probe.journey)
            samples.set("crm_probe_limit_seconds", labels, probe.limit)
            samples.set("crm_probe_interval_seconds", labels, probe.every)
            for result in Verdict:
                samples.set("crm_probe_runs_total", (*labels, result), 0)
        planned = [(Kind.PROBE, each.target, each.journey) for each in self.probes]
        wanted = [(each.kind, each.target, each.subject) for each in self.expected]
        for key in (*planned, *wanted):
            samples.set("crm_run_last_success_timestamp_seconds", key, 0)
            samples.set("crm_run_last_ended_timestamp_seconds", key, 0)

    def _totals(self, samples: Samples) -> set[Subject]:
        subjects: set[Subject] = set()
        seen: dict[Kind, set[tuple[str, str]]] = {}
        for total in self.history.totals():  # sorted, so whoever is in the rest stays there
            own = seen.setdefault(total.kind, set())
            what = (total.target, total.subject)
            if what not in own and len(own) >= MOST_SUBJECTS:
                what = (REST, REST)
            else:
                own.add(what)
                subjects.add((total.kind, *what))
            key = (total.kind, *what)
            for verdict in Verdict:  # a counter that is born at 1 hides its first rise
                samples.add("crm_runs_total", (*key, verdict), 0)
            samples.add("crm_runs_total", (*key, total.verdict), total.runs)
            ended = total.last_ended.timestamp()
            samples.most("crm_run_last_ended_timestamp_seconds", key, ended)
            passed = ended if total.verdict is Verdict.PASS else 0
            samples.most("crm_run_last_success_timestamp_seconds", key, passed)
            if total.kind is Kind.PROBE:
                for verdict in Verdict:
                    samples.add("crm_probe_runs_total", (*what, verdict), 0)
                samples.add("crm_probe_runs_total", (*what, total.verdict), total.runs)
        return {each for each in subjects if each[0] in READERS}

    def _histograms(self, samples: Samples) -> None:
        whole = samples.shapes.setdefault("crm_probe_duration_seconds", {})
        steps = samples.shapes.setdefault("crm_probe_step_duration_seconds", {})
        for each in self.history.histograms():
            if each.measure == "duration":
                whole[each.target, each.subject] = each
            elif each.measure.startswith("step."):
                steps[each.target, each.subject, each.measure.removeprefix("step.")] = each

    def _drills(self, samples: Samples) -> None:
        """The calendar: only a drill that passed keeps an occasion."""
        for plan in self.drills:
            every, now = timedelta(seconds=plan.every), utc_now()
            passed = sorted(
                each.ended
                for subject in RESTORES
                for each in self.history.find(
                    Kind.DRILL, plan.target, subject, finished=True, limit=MOST_DRILLS
                )
                if each.verdict is Verdict.PASS and each.ended is not None
            )
            due = (passed[-1] + every).timestamp() if passed else 0
            samples.set("crm_drill_interval_seconds", (plan.target,), plan.every)
            samples.set("crm_drill_due_timestamp_seconds", (plan.target,), due)
            missed = missed_periods(passed, every, now)
            samples.set("crm_drill_missed_periods", (plan.target,), missed)

    def _open(self, samples: Samples) -> None:
        for live in self.history.live():
            run = live.run
            samples.add("crm_runs_open", (run.kind, run.target), 1)
            if run.kind is Kind.LOAD:
                for name, labels, value in read_live_load(run, live.measures):
                    samples.known(name, labels, value)

    def _newest(self, kind: Kind, target: str, subject: str) -> Run | None:
        """The newest ended run; of kinds where only a good one counts, the newest good one."""
        if kind not in GOOD_ONLY:
            return self.history.latest(kind, target, subject)
        runs = self.history.find(kind, target, subject, finished=True, limit=LOOK_BACK)
        return next((each for each in runs if each.verdict is Verdict.PASS), None)
