"""Looking for duplicates in a file as a Run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from crmops.execute import Execution, executing
from crmops.history import History
from crmops.record import Kind, Run, Unit, Verdict
from crmops.verdict import Objective, judge
from dq_checks.duplicates.against import Compared, compare, matches_csv, summary
from dq_checks.duplicates.find import Found, Wanted, find_duplicates
from dq_checks.duplicates.known import Known
from dq_checks.duplicates.output import (
    check_out,
    clusters_csv,
    pairs_csv,
    summary_json,
    write_files,
    write_out,
)

TARGET = "file"
COMPARABLE = 0.5
"""Share of rows that must hold something to compare, or the answer is unknown."""

_TOO_LITTLE = "only {} of {} rows hold anything to compare"
_BEAT_SECONDS = 5.0
Told = Callable[[str], None]


def run_duplicates(
    wanted: Wanted,
    history: History,
    out: Path | None = None,
    *,
    at_most: float | None = None,
    told: Told = lambda _: None,
    config_digest: str = "",
) -> tuple[Run, Found]:
    """Find duplicates in a file, write them to ``out`` and record it.

    Passes if the rows could be compared and, with ``at_most``, no larger share of them is a copy
    of another.  The evidence holds row numbers only.
    """
    if out is not None:
        check_out(out)
    subject = f"duplicates:{wanted.path.stem}"
    with executing(
        history, Kind.DQ, TARGET, subject, config_digest=config_digest, tool_versions=_versions()
    ) as execution:
        began = time.perf_counter()
        found = find_duplicates(wanted, _beating(execution, told))
        _measure(execution, found, time.perf_counter() - began)
        execution.attach("clusters.csv", clusters_csv(found))
        execution.attach("pairs.csv", pairs_csv(found))
        execution.attach("result.json", summary_json(found))
        if out is not None:
            write_out(out, found)
        execution.conclude(*_verdict(execution.run, found, at_most))
    return execution.run, found


def run_against(
    wanted: Wanted,
    store: Path,
    history: History,
    out: Path | None = None,
    *,
    at_most: float | None = None,
    told: Told = lambda _: None,
    config_digest: str = "",
) -> tuple[Run, Compared]:
    """Compare a file with a store of known records, write the pairs to ``out`` and record it.

    Passes if the rows could be compared and, with ``at_most``, no larger share of them is known
    already.  The evidence holds row numbers and what the store calls its records.
    """
    if out is not None:
        check_out(out)
    known = Known(store, wanted.models)
    subject = f"duplicates:{wanted.path.stem}:{store.name}"
    with executing(
        history, Kind.DQ, TARGET, subject, config_digest=config_digest, tool_versions=_versions()
    ) as execution:
        began = time.perf_counter()
        made = compare(wanted, known, _beating(execution, told))
        _measure_against(execution, made, time.perf_counter() - began)
        execution.attach("matches.csv", matches_csv(made))
        execution.attach("result.json", json.dumps(summary(made), ensure_ascii=False, indent=1))
        if out is not None:
            write_files({out: matches_csv(made)})
        execution.conclude(*_verdict_against(execution.run, made, at_most))
    return execution.run, made


def _measure_against(execution: Execution, made: Compared, seconds: float) -> None:
    rows = made.rows
    counts = {
        "pairs": len(made.pairs), "rows": rows, "rows.known": made.rows_known,
        "rows.surplus": made.rows_again, "candidate.pairs": made.matches.candidates,
    }  # fmt: skip
    for name, value in counts.items():
        execution.measure(name, value, Unit.COUNT, rows)
    share = made.rows_again / rows if rows else None
    execution.measure("duplicates.ratio", share, Unit.RATIO, made.comparable)
    comparable = made.comparable / rows if rows else None
    execution.measure("comparable.ratio", comparable, Unit.RATIO, rows)
    execution.measure("find.seconds", seconds, Unit.SECONDS, 1)
    if made.rows_again:
        execution.finding(f"{made.rows_again} rows are not new", "see matches.csv")


def _verdict_against(run: Run, made: Compared, at_most: float | None) -> tuple[Verdict, str]:
    if made.rows == 0:
        return Verdict.UNKNOWN, "the file has no data rows"
    if made.comparable < COMPARABLE * made.rows:
        return Verdict.UNKNOWN, _TOO_LITTLE.format(made.comparable, made.rows)
    said = f"{made.rows_known} of {made.rows} rows are among {made.known.rows} known records"
    return _within(run, said, at_most)


def _within(run: Run, said: str, at_most: float | None) -> tuple[Verdict, str]:
    if at_most is None:
        return Verdict.PASS, said
    limit = Objective(measure="duplicates.ratio", op="<=", limit=at_most, unit=Unit.RATIO)
    judgement = judge(run.measures, [limit])
    return judgement.verdict, f"{said}; {judgement.reason}"


def _versions() -> dict[str, str]:
    found = {}
    for name in ("splink", "duckdb"):
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found


def _beating(execution: Execution, told: Told) -> Told:
    last = time.monotonic()

    def seen(stage: str) -> None:
        nonlocal last
        told(stage)
        if time.monotonic() - last > _BEAT_SECONDS:
            last = time.monotonic()
            execution.beat()

    return seen


def _measure(execution: Execution, found: Found, seconds: float) -> None:
    rows = found.rows
    pairs = sum(probability >= found.threshold for _, _, probability in found.pairs)
    execution.measure("pairs", pairs, Unit.COUNT, rows)
    execution.measure("clusters", len(found.clusters), Unit.COUNT, rows)
    execution.measure("rows", rows, Unit.COUNT, rows)
    execution.measure("rows.clustered", found.clustered, Unit.COUNT, rows)
    execution.measure("rows.surplus", found.surplus, Unit.COUNT, rows)
    execution.measure("candidate.pairs", found.candidates, Unit.COUNT, rows)
    share = found.surplus / rows if rows else None
    execution.measure("duplicates.ratio", share, Unit.RATIO, found.comparable)
    comparable = found.comparable / rows if rows else None
    execution.measure("comparable.ratio", comparable, Unit.RATIO, rows)
    execution.measure("find.seconds", seconds, Unit.SECONDS, 1)
    if found.clusters:
        execution.finding(
            f"{found.surplus} rows are copies of others",
            f"{len(found.clusters)} clusters; see clusters.csv",
        )


def _verdict(run: Run, found: Found, at_most: float | None) -> tuple[Verdict, str]:
    if found.rows == 0:
        return Verdict.UNKNOWN, "the file has no data rows"
    if found.rows == 1:
        return Verdict.UNKNOWN, "the file has one data row; there is nothing to compare it with"
    if found.comparable < COMPARABLE * found.rows:
        return Verdict.UNKNOWN, _TOO_LITTLE.format(found.comparable, found.rows)
    said = f"{len(found.clusters)} clusters with {found.clustered} of {found.rows} rows"
    return _within(run, said, at_most)
