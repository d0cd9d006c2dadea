"""What an audit says: findings for people, and the evidence behind its scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from crmops.execute import Execution
from crmops.record import Measure
from dq_checks.decisions import Decision
from dq_checks.messages import Audited
from dq_checks.scores import Result, by_dimension, score
from dq_checks.suite import Suite, plain
from dq_checks.trend import RUNS
from dq_checks.waivers import Holding


def report(execution: Execution, results: Sequence[Result], found: Audited) -> None:
    """A finding for each rule that somebody must look at."""
    for each in results:
        owner = f"; for {each.rule.owner}" if each.rule.owner else ""
        if each.status == "failed":
            execution.finding(
                each.rule.title,
                f"not so for {each.bad} of {each.count.checked}: {_percent(each.score_or_zero)}, "
                f"{_percent(each.rule.threshold)} are wanted{owner}",
                "critical" if each.rule.weight >= 3 else "warning",
                each.rule.id,
            )
        elif each.status == "error":
            execution.finding(
                f"a rule could not run: {each.rule.title}",
                each.count.reason,
                "critical",
                each.rule.id,
            )
        elif each.count.status == "unknown" and each.waiver is None:
            execution.finding(
                f"a rule had nothing to compare with: {each.rule.title}",
                each.count.reason,
                "warning",
                each.rule.id,
            )
        elif each.waiver is not None:
            text = f"{each.waiver.reason}; {each.waiver.approver} answers until"
            execution.finding(
                f"waived: {each.rule.title}",
                f"{text} {each.waiver.expires}; it is {_percent(each.score_or_zero)}",
                "info",
                each.rule.id,
            )
        elif each.unclear:
            execution.finding(
                f"too small a sample to tell: {each.rule.title}",
                f"{each.count.good} of {each.count.checked}: {_between(each)}, "
                f"{_percent(each.rule.threshold)} are wanted; raise its sample",
                "info",
                each.rule.id,
            )
        elif each.status == "unknown" and found.rows:
            execution.finding(
                f"a rule saw nothing: {each.rule.title}",
                "no record has a value that it is about",
                "info",
                each.rule.id,
            )


def _percent(value: float) -> str:
    """Rounded down: 99.996 % is not 100 %."""
    return f"{int(value * 10_000) / 100:.2f} %"


def report_expired(execution: Execution, waived: Holding) -> None:
    """A finding for each waiver that holds no more."""
    for each in waived.expired:
        execution.finding(
            f"a waiver has expired: {each.subject}",
            f"approved by {each.approver}, expired {each.expires}",
            "warning",
            each.rule,
        )


def report_drop(execution: Execution, fell: Measure, limit: float) -> None:
    """A finding when the score lies further below its usual than the limit."""
    if fell.value is None or fell.value <= limit:
        return
    execution.finding(
        "the score fell",
        f"by {_percent(fell.value)} below the median of the last {fell.observed} audits"
        f" (at most {RUNS} count); {_percent(limit)} are let pass",
        "warning",
        execution.run.subject,
    )


def report_decided(
    execution: Execution,
    results: Sequence[Result],
    found: Audited,
    decisions: Sequence[Decision],
) -> None:
    """Findings about what people decided: rules that they call wrong, repairs that were none."""
    run = execution.run
    own = {each.about: each for each in decisions if each.about[:2] == (run.target, run.subject)}
    titles = {each.rule.id: each.rule.title for each in results}
    wrong = Counter(each.rule for each in own.values() if each.decision == "wrong-rule")
    for name in sorted(wrong.keys() & titles.keys()):
        execution.finding(
            f"people say that a rule is wrong: {titles[name]}",
            f"for {wrong[name]} records; mend the rule, or waive them",
            "info",
            name,
        )
    said = [own.get((run.target, run.subject, each.rule, each.key)) for each in found.issues]
    unmended = Counter(
        each.rule for each in said if each and each.decision == "fixed" and each.at < run.begun
    )
    for name in sorted(unmended):
        execution.finding(
            f"said to be fixed and still bad: {titles[name]}",
            f"{unmended[name]} records; they are in the worklist again",
            "warning",
            name,
        )


def _between(result: Result) -> str:
    low, high = result.interval or (0.0, 1.0)
    return f"between {_percent(low)} and {_percent(high)} with 95 % confidence"


def evidence(suite: Suite, results: Sequence[Result], found: Audited) -> str:
    """A and B of every rule, so that each score can be worked out again."""
    overall, elements = score(results)
    document = {
        "schema": 1,
        "suite": suite.name,
        "entity": suite.entity,
        "table": suite.table,
        "country": found.country,
        "rows": found.rows,
        "score": overall,
        "elements": elements,
        "dimensions": {
            name: {"score": value, "elements": seen}
            for name, (value, seen) in by_dimension(results).items()
        },
        "rules": [_of_rule(each, found) for each in results],
        "versions": found.versions,
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def _of_rule(result: Result, found: Audited) -> dict[str, object]:
    return {
        "rule": plain(result.rule),
        "status": result.status,
        "A": result.count.good if result.count.status == "counted" else None,
        "B": result.count.checked if result.count.status == "counted" else None,
        "bad": result.bad if result.counted else None,
        "score": result.score,
        "interval": result.interval,
        "waived": result.count.waived,
        "waiver": result.waiver.model_dump(mode="json") if result.waiver else None,
        "reason": result.count.reason,
        "listed": sum(each.rule == result.rule.id for each in found.issues),
        "list_shortened": result.rule.id in found.shortened,
    }
