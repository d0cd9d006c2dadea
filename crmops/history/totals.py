"""Totals that only ever grow, so that counters never step back when runs are pruned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from crmops.history.tables import buckets, from_us, to_us, totals
from crmops.record import Kind, Run, Unit, Verdict

DURATION_BOUNDS: tuple[float, ...] = (
    0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 30.0, math.inf,
)  # fmt: skip
"""Seconds.  Every objective shipped in the alert rules is one of them, so its ratio is exact."""

_LAST_BOUND = 1e300
"""How infinity is stored: not every database takes an infinite float in a key."""


@dataclass(frozen=True, slots=True)
class Total:
    """How often something ended so, and for how long in all.  Survives pruning."""

    kind: Kind
    target: str
    subject: str
    verdict: Verdict
    runs: int
    seconds: float
    last_ended: datetime


@dataclass(frozen=True, slots=True)
class Histogram:
    """Samples of one measure: ``counts`` by upper bound (seconds, not cumulative), their sum."""

    kind: Kind
    target: str
    subject: str
    measure: str
    counts: Mapping[float, int]
    seconds: float


def add(connection: sa.Connection, run: Run) -> None:
    """Count an ended run.  Belongs in the transaction that ends it."""
    if run.ended is None:
        raise ValueError("only an ended run is counted")
    key = {"kind": run.kind.value, "target": run.target, "subject": run.subject}
    _grow(
        connection,
        totals,
        {**key, "verdict": run.verdict.value},
        {"runs": 1, "seconds": run.seconds or 0.0},
        {"last_ended": to_us(run.ended)},
    )
    if run.kind is Kind.PROBE:
        for each in run.measures:
            if each.unit is Unit.SECONDS and each.value is not None:
                bound = next(b for b in DURATION_BOUNDS if each.value <= b)
                _grow(
                    connection,
                    buckets,
                    {**key, "measure": each.name, "bound": min(bound, _LAST_BOUND)},
                    {"samples": 1, "seconds": each.value},
                    {},
                )


def _grow(
    connection: sa.Connection,
    table: sa.Table,
    key: dict[str, Any],
    step: dict[str, float],
    newest: dict[str, int],
) -> None:
    """Insert a row or add ``step`` to it; ``newest`` columns only ever move forward."""
    statement = _insert(connection, table).values(**key, **step, **newest)
    ours = statement.excluded
    changes: dict[str, Any] = {name: table.c[name] + ours[name] for name in step}
    for name in newest:
        changes[name] = sa.case((table.c[name] > ours[name], table.c[name]), else_=ours[name])
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changes))


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    kinds: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    return kinds[connection.dialect.name](table)


def insert_new(connection: sa.Connection, table: sa.Table, **values: Any) -> bool:
    """Insert a row unless its key is taken; whether it was inserted."""
    statement = _insert(connection, table).values(**values).on_conflict_do_nothing()
    # the row count of such an insert is not known in every driver, the returned row is
    return connection.execute(statement.returning(*table.primary_key)).first() is not None


def read_totals(connection: sa.Connection) -> list[Total]:
    """Every total."""
    return [
        Total(
            Kind(row.kind),
            row.target,
            row.subject,
            Verdict(row.verdict),
            row.runs,
            row.seconds,
            from_us(row.last_ended),
        )
        for row in connection.execute(sa.select(totals).order_by(*totals.primary_key.columns))
    ]


def read_histograms(connection: sa.Connection) -> list[Histogram]:
    """Every histogram, all bounds present."""
    found: dict[tuple[str, str, str, str], tuple[dict[float, int], float]] = {}
    for row in connection.execute(sa.select(buckets).order_by(*buckets.primary_key.columns)):
        key = (row.kind, row.target, row.subject, row.measure)
        counts, seconds = found.get(key, (dict.fromkeys(DURATION_BOUNDS, 0), 0.0))
        bound = math.inf if row.bound >= _LAST_BOUND else row.bound
        counts[bound] = counts.get(bound, 0) + row.samples
        found[key] = (counts, seconds + row.seconds)
    return [
        Histogram(Kind(kind), target, subject, measure, counts, seconds)
        for (kind, target, subject, measure), (counts, seconds) in found.items()
    ]
