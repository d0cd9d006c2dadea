"""From what the stages found to measures and one verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crmops.execute import Execution
from crmops.record import Kind, Measure, Unit, Verdict
from crmops.verdict import Judgement, Objective, judge
from playbooks.job import Job, Outcome, Stage, parse_time
from playbooks.runner import Ending
from playbooks.settings import Settings

BACKUP_STAGES = ("source_check", "base_backup", "verify_files", "read_contents", "wal_archive",
                 "seal", "tear_down")  # fmt: skip
DRILL_STAGES = ("fetch", "verify_backup", "configure", "recover", "compare", "amcheck", "smoke",
                "tear_down")  # fmt: skip
FAILOVER_STAGES = (*DRILL_STAGES[:4], "stand_by", "fail_over", "tear_down")


def stages_of(kind: Kind, settings: Settings, *, point_in_time: bool = False) -> tuple[str, ...]:
    """The stages that a playbook goes through, in order."""
    if kind is Kind.BACKUP:
        return BACKUP_STAGES
    *first, compare, amcheck, smoke, last = DRILL_STAGES
    advance = ("advance",) if point_in_time else ()
    audit = ("audit",) if settings.audits.suites else ()
    return (*first, compare, *advance, amcheck, smoke, *audit, last)


@dataclass(frozen=True, slots=True)
class Finished:
    """A playbook that ended: its job, how it ended and the stages that left a record.

    ``failover``: it was the rehearsal of one, not a restore.
    """

    job: Job
    ending: Ending
    stages: tuple[Stage, ...]
    failover: bool = False

    def facts(self, name: str) -> dict[str, Any]:
        """What a stage found, also one that failed; nothing if it did not run."""
        return next((each.facts for each in self.stages if each.name == name), {})

    def stage(self, name: str) -> Stage | None:
        """A stage's record, or None if it did not run."""
        return next((each for each in self.stages if each.name == name), None)


def measures_of(kind: Kind, finished: Finished) -> tuple[Measure, ...]:
    """The numbers of a backup or a drill; what did not happen has no value."""
    if finished.failover:
        own = _failover_measures(finished)
    else:
        own = _backup_measures(finished) if kind is Kind.BACKUP else _drill_measures(finished)
    checks = [check for stage in finished.stages for check in stage.checks]
    failed = sum(not each.passed for each in checks)
    failed += sum(
        stage.outcome is Outcome.FAIL and all(check.passed for check in stage.checks)
        for stage in finished.stages
    )
    return (*own, _count("checks.failed", failed, max(len(checks), failed)))


def objectives_of(kind: Kind, settings: Settings) -> tuple[Objective, ...]:
    """What must hold for a pass."""
    rows = float(settings.minimum_rows)
    if kind is Kind.BACKUP:
        return (
            Objective(measure="checks.failed", op="==", limit=0),
            Objective(measure="verified", op=">=", limit=1, unit=Unit.COUNT),
            Objective(measure="size", op=">", limit=0, unit=Unit.BYTES),
            Objective(measure="tables.digested", op=">=", limit=1, unit=Unit.COUNT),
            Objective(measure="rows", op=">=", limit=rows, unit=Unit.COUNT),
        )
    return (
        Objective(measure="checks.failed", op="==", limit=0),
        Objective(measure="tables.compared", op=">=", limit=1, unit=Unit.COUNT),
        Objective(measure="tables.differing", op="==", limit=0, unit=Unit.COUNT),
        Objective(measure="rows.restored", op=">=", limit=rows, unit=Unit.COUNT),
        Objective(measure="rto", op="<=", limit=settings.rto_objective, unit=Unit.SECONDS),
        Objective(measure="rpo", op="<=", limit=settings.rpo_objective, unit=Unit.SECONDS),
        *_demanded(settings),
    )


def failover_objectives(settings: Settings) -> tuple[Objective, ...]:
    """What must hold for a failover that was rehearsed."""
    limit = settings.failover.outage_objective
    return (
        Objective(measure="checks.failed", op="==", limit=0),
        Objective(measure="outage", op="<=", limit=limit, unit=Unit.SECONDS, minimum_samples=20),
        Objective(measure="writes.lost", op="==", limit=0, unit=Unit.COUNT, minimum_samples=20),
    )


def _demanded(settings: Settings) -> Iterator[Objective]:
    """What is asked for must also have been done: without a number it is unknown."""
    if journeys := len(settings.smoke.journeys):
        yield Objective(measure="journeys.passed", op="==", limit=journeys, unit=Unit.COUNT)
    if settings.audits.suites:
        limit, suites = settings.audits.minimum_score, len(settings.audits.suites)
        yield Objective(measure="audits.score", op=">=", limit=limit, unit=Unit.RATIO,
                        minimum_samples=suites)  # fmt: skip


def conclude(execution: Execution, settings: Settings, finished: Finished) -> Judgement:
    """Judge the run's measures; what kept it from being examined outweighs every number."""
    kind = execution.run.kind
    judgement = judgement_of(kind, settings, finished)
    hindrance = _hindrance(kind, settings, finished)
    failed = _failed(finished)
    if hindrance is not None:
        execution.finding(*hindrance, severity="critical", subject=kind.value)
    elif failed is not None:
        execution.finding(f"stage {failed.name} failed", failed.reason, "critical")
    for stage in finished.stages:
        if stage.facts.get("skipped"):
            execution.finding(f"stage {stage.name} was skipped", stage.facts["skipped"])
    execution.conclude_by(judgement)
    return judgement


def judgement_of(kind: Kind, settings: Settings, finished: Finished) -> Judgement:
    """The verdict: error when it could not be carried out, else what the numbers say.

    When a stage failed, its words are the reason, since they say more than a count of checks.
    """
    wanted = failover_objectives(settings) if finished.failover else objectives_of(kind, settings)
    judgement = judge(measures_of(kind, finished), wanted)
    hindrance = _hindrance(kind, settings, finished)
    if hindrance is not None:
        return judgement.model_copy(update={"verdict": Verdict.ERROR, "reason": hindrance[0]})
    failed = _failed(finished)
    return judgement.model_copy(update={"reason": failed.reason}) if failed else judgement


def _failed(finished: Finished) -> Stage | None:
    return next((each for each in finished.stages if each.outcome is Outcome.FAIL), None)


def _hindrance(kind: Kind, settings: Settings, finished: Finished) -> tuple[str, str] | None:
    walked = stages_of(kind, settings, point_in_time=finished.job.to is not None)
    return hindrance_of(FAILOVER_STAGES if finished.failover else walked, settings, finished)


def hindrance_of(
    wanted: tuple[str, ...], settings: Settings, finished: Finished
) -> tuple[str, str] | None:
    """Why ``wanted`` stages could not be carried out, with a hint; None if they could."""
    for each in finished.stages:
        if each.outcome is Outcome.ERROR:
            return each.reason, each.hint
    if finished.ending.status == "timeout":
        return (
            f"the playbook did not end within {settings.timeout:.0f} s",
            "Raise drills.timeout, or look at the log for the stage that hangs.",
        )
    if any(each.outcome is Outcome.FAIL for each in finished.stages):
        return None
    if finished.ending.refusal and not finished.stages:
        return finished.ending.refusal, "Nothing was touched."
    done = {each.name for each in finished.stages}
    missing = [each for each in wanted if each not in done]
    if missing:
        return (
            f"the playbook was {_word(finished.ending.status)} before stage {missing[0]} ended",
            "Run it again; what it left behind has been removed.",
        )
    if finished.ending.status != "successful":
        return f"the playbook ended as {finished.ending.status}", "See playbook.log."
    return None


def _word(status: str) -> str:
    return {"canceled": "cancelled", "successful": "ended"}.get(status, "killed")


def _backup_measures(finished: Finished) -> tuple[Measure, ...]:
    begun, sealed = finished.stage("source_check"), finished.stage("seal")
    whole = sealed if sealed and sealed.outcome is Outcome.OK else None
    seconds = whole.tick + whole.seconds - begun.tick if whole and begun else None
    contents = finished.facts("read_contents").get("contents") or {}
    tables = [each for each in contents.get("tables", ()) if not each["unlogged"]]
    rows = sum(each["rows"] for each in tables) if contents else None
    verified = finished.stage("verify_files")
    files = len(finished.facts("verify_files").get("hashes", ()))
    good = files if verified and verified.outcome is Outcome.OK and whole else None
    return (
        _number("size", finished.facts("base_backup").get("bytes"), Unit.BYTES),
        _number("duration", seconds, Unit.SECONDS),
        _number("verified", good, Unit.COUNT),
        _number("tables.digested", len(tables) if contents else None, Unit.COUNT),
        _number("rows", rows, Unit.COUNT, len(tables)),
    )


def _drill_measures(finished: Finished) -> tuple[Measure, ...]:
    fetched, smoke = finished.stage("fetch"), finished.stage("smoke")
    working = smoke.facts.get("working_tick") if smoke and smoke.outcome is Outcome.OK else None
    rto = working - fetched.tick if working is not None and fetched else None
    last = "recover" if finished.job.to is None else "advance"
    newest = finished.facts(last).get("newest_commit")
    compared = finished.facts("compare")
    tables = compared.get("compared", 0)
    return (
        _number("rto", rto, Unit.SECONDS),
        _number("rpo", _lost(finished.job.incident, newest), Unit.SECONDS),
        _number("tables.compared", compared.get("compared"), Unit.COUNT, tables),
        _number("tables.differing", compared.get("differing"), Unit.COUNT, tables),
        _number("rows.restored", compared.get("rows"), Unit.COUNT),
        *_asked_for(finished),
    )


def _failover_measures(finished: Finished) -> tuple[Measure, ...]:
    found = finished.facts("fail_over")
    probes, written = found.get("probes", 0), found.get("written", 0)
    return (
        _number("outage", found.get("outage"), Unit.SECONDS, probes),
        _number("outage.noticed", found.get("noticed_seconds"), Unit.SECONDS),
        _number("outage.promoted", found.get("promoted_seconds"), Unit.SECONDS),
        _number("outage.pointed", found.get("pointed_seconds"), Unit.SECONDS),
        _number("probes.failed", found.get("probes_failed"), Unit.COUNT, probes),
        _number("writes.lost", found.get("lost"), Unit.COUNT, written),
    )


def _asked_for(finished: Finished) -> Iterator[Measure]:
    """Journeys and audits, where they are configured."""
    settings = finished.job.settings
    if settings.smoke.journeys:
        smoke = finished.facts("smoke")
        passed = smoke.get("journeys_passed")
        yield _number("journeys.passed", passed, Unit.COUNT, smoke.get("journeys", 0))
    if settings.audits.suites:
        audits = finished.facts("audit").get("audits", ())
        scores = [each["score"] for each in audits if each["score"] is not None]
        worst = min(scores) if scores and len(scores) == len(audits) else None
        yield _number("audits.score", worst, Unit.RATIO, len(scores))


def _lost(incident: datetime, newest: str | None) -> float | None:
    """Seconds of work that a loss now would cost: from the newest commit that came back."""
    return max((incident - parse_time(newest)).total_seconds(), 0.0) if newest else None


def _number(name: str, value: float | None, unit: Unit, observed: int | None = None) -> Measure:
    samples = observed if observed is not None else int(value is not None)
    return Measure(name=name, value=value, unit=unit, observed=samples)


def _count(name: str, value: int, observed: int) -> Measure:
    return Measure(name=name, value=value, unit=Unit.COUNT, observed=observed)
