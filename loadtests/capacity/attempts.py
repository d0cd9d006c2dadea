"""A step of the search on a real target: a short load test, by the usual pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crmops.errors import CannotRun, UsageError
from crmops.history import History
from crmops.record import Run, Verdict
from crmops.target import Target
from crmops.verdict import Check, judge
from loadtests.assignment import prepare
from loadtests.capacity.steps import Outcome, Step
from loadtests.live import Live
from loadtests.measures import split
from loadtests.people import take_part
from loadtests.run import run_load
from loadtests.settings import Settings
from loadtests.verdict import with_samples
from loadtests.workload import Phase, Workload

ARRIVAL, STEADY = "arrival", "steady"
ARRIVE_WITHIN = 0.8
"""Share of the arrival in which people come; the rest is for the last of them to settle."""

LATENCY = frozenset(("response_time", "service_time", "queue_wait"))
GAVE_WAY = {
    "throttled.ratio": "throttled",
    "error.ratio": "errors",
    "journey.failed.ratio": "errors",
    "data.lost": "lost writes",
}


@dataclass(frozen=True, slots=True)
class Attempts:
    """Makes steps: people arrive for ``arrival`` seconds, then ``seconds`` are judged."""

    target: Target
    workload: Workload
    settings: Settings
    history: History
    seconds: float
    arrival: float
    confirm: str = ""
    config_digest: str = ""
    watch: Callable[[Live], None] = lambda _live: None

    def __call__(self, users: int, stretch: float) -> Step:
        """One step.  Raises CannotRun if it could not be run to its end."""
        workload = steady(self.workload, users, self.seconds * stretch, self.arrival)
        assignment = prepare(self.target, workload, self.settings, self.confirm)
        digest = self.config_digest
        run = run_load(assignment, self.history, config_digest=digest, watch=self.watch)
        if run.verdict is Verdict.ERROR:
            raise CannotRun(
                f"the step with {users} people failed: {run.reason}",
                hint=f"`crmops runs show {run.id}` shows more.",
            )
        return as_step(run, workload, self.settings)


def steady(workload: Workload, users: int, seconds: float, arrival: float) -> Workload:
    """So many people of a workload, who arrive and then are at work all at once.

    Raises UsageError for an open workload: its people are a pool that waits for arrivals.
    """
    if workload.model != "closed":
        raise UsageError(
            f"workload {workload.name!r} is open: its load is a rate, not a number of people",
            hint="Name a closed workload; `crmops load list` shows the models.",
        )
    phases = (
        Phase(name=ARRIVAL, seconds=arrival, within=arrival * ARRIVE_WITHIN, judged=False),
        Phase(name=STEADY, seconds=seconds),
    )
    name = f"capacity_{workload.name}"[:40]
    return workload.model_copy(update={"name": name, "users": users, "phases": phases})


def most_people(target: Target, workload: Workload, wanted: int) -> int:
    """The most people for whom there is an account and the target's permission.

    ``wanted`` is a further limit, 0 for none.  Raises UsageError if there is none for one person.
    """
    low, high = 0, min(wanted or target.load.max_users, target.load.max_users)
    while low < high:
        middle = (low + high + 1) // 2
        try:
            take_part(workload.changed(users=middle), target, "")
        except UsageError:
            if middle == 1:
                raise
            high = middle - 1
        else:
            low = middle
    return low


def as_step(run: Run, workload: Workload, settings: Settings) -> Step:
    """What a load test says of the people in it."""
    checks = judge(run.measures, with_samples(settings.objectives, settings.samples)).checks
    failed = [each for each in checks if each.verdict is Verdict.FAIL]
    outcome = _outcome(run, checks)
    broken = tuple(_broken(each) for each in failed)
    if outcome is Outcome.MISSED and not broken:  # the kill switch, or writes that were lost
        what = "lost writes" if "are lost" in run.reason else "errors"
        broken = ((what, "", None),)
    return Step(
        users=workload.users,
        seconds=workload.phases[-1].seconds,
        outcome=outcome,
        reason=run.reason,
        throughput=_throughput(run),
        p95=_value(run, "response_time.p95"),
        broken=broken if outcome is Outcome.MISSED else (),
        run=run.id,
    )


def _outcome(run: Run, checks: tuple[Check, ...]) -> Outcome:
    """An unknown run is short of samples if its objectives say so, else it is the instrument."""
    if run.verdict is not Verdict.UNKNOWN:
        return Outcome.MET if run.verdict is Verdict.PASS else Outcome.MISSED
    unknown = [each.reason for each in checks if each.verdict is Verdict.UNKNOWN]
    return Outcome.FEW if unknown and run.reason == "; ".join(unknown) else Outcome.INSTRUMENT


def _broken(check: Check) -> tuple[str, str, float | None]:
    name = check.objective.measure
    stem, _ = split(name)
    what = "latency" if stem.partition(".")[0] in LATENCY else GAVE_WAY.get(stem, stem)
    limit = check.objective.limit
    return what, name, check.value / limit if check.value is not None and limit else None


def _throughput(run: Run) -> float | None:
    """Requests a second that were answered: neither failed nor throttled."""
    rate = _value(run, "request.rate")
    lost = [_value(run, name) or 0.0 for name in ("error.ratio", "throttled.ratio")]
    return None if rate is None else rate * max(1 - sum(lost), 0.0)


def _value(run: Run, name: str) -> float | None:
    found = run.measure(name)
    return found.value if found else None
