"""One suite on one table: look, compile, validate, fetch the failing keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from dq_checks.conditions import ALL, Counting, counting
from dq_checks.dialects_mysql import NAMES
from dq_checks.expressions import RuleProblem, expression, key_part
from dq_checks.formats import COUNTRIES, FORMATS, TELLING, Country
from dq_checks.messages import Audited, Count, Job
from dq_checks.suite import Rule, plain
from dq_checks.worker.alone import alone
from dq_checks.worker.engine import AuditEngine
from dq_checks.worker.expectations import EXPECTATIONS
from dq_checks.worker.groups import grouped
from dq_checks.worker.issues import failing
from dq_checks.worker.mysql import comparable
from dq_checks.worker.references import Missing, check
from dq_checks.worker.refusals import explain, lost
from dq_checks.worker.session import JobProblem, inspect, reading
from dq_checks.worker.waived import without_waived

_ROWS = "(rows)"
UNTOLD = "everything was counted: nobody says what changed; name columns in changed_by of the suite"


@dataclass(frozen=True)
class Compiled:
    """A rule that fits the table, with how it is counted."""

    rule: Rule
    how: Counting


def audit(job: Job, say: Callable[[str], None], versions: dict[str, str]) -> Audited:
    """Run a job.  ``say`` is told each stage.  Raises JobProblem when nothing can be counted."""
    began = time.monotonic()
    say("connecting")
    with reading(job.url, job.statement_timeout, gentle=job.duty < 1) as connection:
        table = inspect(connection, job.suite)
        alone(connection, job.suite)
        engine = AuditEngine(connection, table, job, say)
        country = _country(engine, job)
        rules, misfits = _compile(engine, job, country)
        say("counting")
        counts = [*misfits, *_count(engine, rules)]
        if engine.errors and lost(engine.errors[-1]):
            raise JobProblem(
                explain(engine.errors[-1]), "Nothing of this audit is kept; run it again."
            )
        rows = _rows(engine)
        counts = without_waived(engine, rules, counts, job)
        say("listing")
        issues, shortened = failing(engine, rules, counts, job)
        say("grouping")
        shares, notes = grouped(engine, rules, counts, job) if job.groups else ([], [])
        if job.ledger is not None and not engine.tally.said:
            notes.append(UNTOLD)
        dialect = connection.dialect
        server = ".".join(map(str, dialect.server_version_info or ()))
    order = {each.id: at for at, each in enumerate(job.suite.rules)}
    return Audited(
        job=job.id,
        rows=rows,
        country=country,
        counts=tuple(sorted(counts, key=lambda each: order[each.rule])),
        issues=tuple(issues),
        shortened=tuple(shortened),
        shares=tuple(shares),
        notes=tuple(notes),
        ledger=engine.tally.ledger(),
        slices=engine.tally.slices if engine.tally.said else None,
        slices_anew=len(engine.tally.again),
        seconds=time.monotonic() - began,
        versions={**versions, dialect.name: server},
    )


def _rows(engine: AuditEngine) -> int:
    """The rows that the scan saw; if it failed they are counted by themselves."""
    if engine.rows is not None:
        return engine.rows
    query = sa.select(sa.func.count()).select_from(engine.table.source)
    return int(engine.execute_query(query).scalar_one())


def _country(engine: AuditEngine, job: Job) -> Country:
    """The country given; or the one in whose formats most phones and postcodes are written."""
    if job.country != "auto":
        return job.country
    kinds = engine.table.kinds
    told = [
        (each.column, each.format)
        for each in job.suite.rules
        if each.check == "format" and each.format in TELLING and each.column in kinds
    ]
    if not told:
        return COUNTRIES[0]
    terms = [
        ["match", column, FORMATS[name][country]] for country in COUNTRIES for column, name in told
    ]
    numbers = engine.tally.count(terms)[()]
    size = len(told)
    found = [sum(numbers[at * size : (at + 1) * size]) for at in range(len(COUNTRIES))]
    return COUNTRIES[max(range(len(COUNTRIES)), key=lambda at: (found[at], -at))]


def _compile(engine: AuditEngine, job: Job, country: Country) -> tuple[list[Compiled], list[Count]]:
    """The rules that fit the table, and for each that does not an error, or unknown."""
    fitting, misfits = [], []
    for rule in job.suite.rules_for(country):
        how = counting(rule, country, job.as_of, job.suite.key)
        try:
            _try(how, engine)
        except Missing as problem:
            misfits.append(Count(rule=rule.id, status="unknown", reason=str(problem)))
        except RuleProblem as problem:
            misfits.append(Count(rule=rule.id, status="error", reason=str(problem)))
        else:
            fitting.append(Compiled(rule, how))
    return fitting, misfits


def _try(how: Counting, engine: AuditEngine) -> None:
    kinds = engine.table.kinds
    expression(how.checked, kinds)
    if how.good:
        expression(how.good, kinds)
    for name in how.columns:
        key_part(name, kinds)
    if how.how == "against":
        check(how, engine)
    if how.how == "reference" and engine.connection.dialect.name in NAMES:
        comparable(engine.connection, how, kinds, engine.suite.table_schema)


def _count(engine: AuditEngine, rules: list[Compiled]) -> list[Count]:
    """A count for each rule.

    Row-wise rules share one scan, so one whose SQL fails takes the others with it: those that
    failed together are then tried one by one, unless time or the connection ran out.
    """
    found = _validate(engine, rules)
    failed = [each for each in rules if found[each.rule.id].status == "error"]
    if len(failed) > 1 and not engine.spent():
        for each in failed:
            engine.errors.clear()
            found.update(_validate(engine, [each]))
            if engine.spent():
                break
    return list(found.values())


def _validate(engine: AuditEngine, rules: list[Compiled]) -> dict[str, Count]:
    results = engine.validate([_every_row(), *map(_expectation, rules)])
    found = {}
    for result in results:
        rule = result.expectation_config.meta["rule"]["id"]
        found[rule] = _read(rule, result, engine)
    every = found.pop(_ROWS)
    if every.status == "counted":
        engine.rows = every.checked
    for each in rules:
        if each.rule.id not in found:
            lost = Count(rule=each.rule.id, status="error", reason="no result came back")
            found[each.rule.id] = lost
    return found


def _every_row() -> Any:
    """Counts the rows in the scan that is made anyway."""
    how = Counting("rows", ALL, ALL)
    return EXPECTATIONS["rows"](
        counting=json.dumps(how.dump()), mostly=0.0, meta={"rule": {"id": _ROWS}}
    )


def _expectation(compiled: Compiled) -> Any:
    rule = compiled.rule
    return EXPECTATIONS[compiled.how.how](
        counting=json.dumps(compiled.how.dump(), ensure_ascii=False),
        mostly=rule.threshold,
        description=rule.title,
        meta={"rule": plain(rule)},  # results come back in another order; this tells whose
    )


def _read(rule: str, result: Any, engine: AuditEngine) -> Count:
    if errored(result) or "element_count" not in result.result:
        reason = explain(engine.errors[-1]) if engine.errors else "it could not be run"
        return Count(rule=rule, status="error", reason=reason)
    checked = int(result.result["element_count"])
    return Count(
        rule=rule, status="counted", checked=checked, good=int(result.result["observed_value"])
    )


def errored(result: Any) -> bool:
    """Whether a rule could not run.  ``success`` is False then too, so it does not tell.

    On failure ``exception_info`` is keyed by metric; only when all is well is
    ``raised_exception`` at its top.
    """
    info = result.exception_info or {}
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(isinstance(each, dict) and each.get("raised_exception") for each in info.values())
