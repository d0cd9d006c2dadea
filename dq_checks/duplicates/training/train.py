"""Train the shipped settings: ``python -m dq_checks.duplicates.training.train [KIND ...]``.

Labelled sets of our own (:mod:`dq_checks.duplicates.truth`) are blocked as at run time; a logistic
regression over the levels of all comparisons finds how much each weighs beside the others, so that
what comes together (city and postcode) is not counted twice.  Weights keep the sign of the plan
and are drawn towards it.  Each set is also taken without some of its columns, as files often lack
them.  The threshold is chosen on sets of other seeds.  No public data set is seen here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dq_checks.duplicates.blocking import make_pairs, plan_blocking
from dq_checks.duplicates.clusters import cluster
from dq_checks.duplicates.find import Wanted, find_duplicates
from dq_checks.duplicates.model import Holding
from dq_checks.duplicates.prepare import prepare, script_of
from dq_checks.duplicates.store import Records, scratch
from dq_checks.duplicates.training.parts import Comparison, Plan
from dq_checks.duplicates.training.plans import PLANS
from dq_checks.duplicates.training.write import Weights, starting_weights, write_model
from dq_checks.duplicates.truth import Labelled, labelled

ROWS = 10_000
TRAINING_SEEDS, CHOOSING_SEED = (11, 12), 21
PRECISION = 0.99
"""What the threshold must reach on the sets it is chosen on."""

_LOOSE = 4.0
_PULL = 0.02
_BITS = 0.6931471805599453

DROPPED: dict[str, tuple[tuple[str, ...], ...]] = {
    "contact-latin": (
        (), ("Email", "Phone", "Company"), ("SSN",), ("SSN", "Date of Birth"),
        ("SSN", "Address 1", "Address 2", "Street Number"),
    ),
    "contact-chinese": ((), ("地址", "电话"), ("邮箱",), ("地址", "电话", "城市")),
    "account-latin": ((), ("Website",), ("Zip", "Website"), ("Phone", "Website")),
    "account-chinese": ((), ("统一社会信用代码",), ("统一社会信用代码", "网址"), ("网址", "电话")),
}  # fmt: skip
"""Columns left out of the sets, one set after the other."""

Vector = tuple[tuple[int, ...], bool, int]
"""The level of each comparison (-1: missing), whether the pair is one, how many such pairs."""


def without(made: Labelled, dropped: Sequence[str]) -> Labelled:
    """The set as a file that lacks some columns."""
    rows = [{k: v for k, v in row.items() if k not in dropped} for row in made.rows]
    return Labelled(rows, made.who)


def vectors(kind: str, plan: Plan, made: Labelled) -> list[Vector]:
    """Block a set and count how its pairs compare."""
    with TemporaryDirectory() as place, scratch() as connection:
        path = Path(place) / "set.csv"
        made.write(path)
        records = _records(kind, connection, path)
        records.finish([Holding(column=each.column, of=each.of) for each in plan.holders])
        make_pairs(connection, plan_blocking(connection, plan.keys, records.rows))
        connection.execute("create table who (row integer, who integer)")
        connection.executemany("insert into who values (?, ?)", list(enumerate(made.who, 1)))
        names = [each[0] for each in connection.execute("describe records").fetchall()]
        left = ", ".join(f"a.{each} as {each}_l" for each in names)
        right = ", ".join(f"b.{each} as {each}_r" for each in names)
        levels = ", ".join(_level(each) for each in plan.comparisons)
        found = connection.execute(
            f"with both_sides as (select {left}, {right} from pairs"
            " join records a on a.row = l join records b on b.row = r)"
            f" select {levels}, x.who = y.who, count(*) from both_sides"
            " join who x on x.row = row_l join who y on y.row = row_r group by all"
        ).fetchall()
    return [(tuple(each[:-2]), each[-2], each[-1]) for each in found]


def _records(kind: str, connection: Any, path: Path) -> Records:
    from crmops.tables import read_headings, rows_of
    from dq_checks.duplicates.fields import map_columns
    from dq_checks.duplicates.prepare import blocks

    rows = rows_of(path)
    columns = map_columns(path, read_headings(path, rows), kind.partition("-")[0], ())
    loaded = list(blocks(path, rows, columns))
    script = script_of(loaded[0])
    records = Records(connection, (columns.entity, script))
    for block in loaded:
        records.add(prepare(block, columns.entity, script))
    return records


def _level(each: Comparison) -> str:
    whens = " ".join(f"when {level.sql} then {at}" for at, level in enumerate(each.levels))
    return f"case when {each.missing} then -1 {whens} else {len(each.levels)} end"


def fit(plan: Plan, found: Sequence[Vector]) -> dict[tuple[str, str], float]:
    """Weights in bits, by logistic regression drawn towards the plan's own."""
    import numpy as np
    from scipy.optimize import minimize

    start = starting_weights(plan)
    names = list(start)
    at = {name: number for number, name in enumerate(names)}
    design = np.zeros((len(found), len(names)))
    design[:, 0] = 1
    for row, (levels, _, _) in enumerate(found):
        for comparison, level in zip(plan.comparisons, levels, strict=True):
            if level >= 0:
                labels = [*(each.label for each in comparison.levels), "other"]
                design[row, at[comparison.name, labels[level]]] = 1
    same = np.array([each[1] for each in found], float)
    times = np.array([each[2] for each in found], float)
    begin = np.array([start[name] for name in names]) * _BITS

    def loss(weights: Any) -> tuple[float, Any]:
        odds = design @ weights
        away = weights - begin
        value = np.sum(times * (np.logaddexp(0, odds) - same * odds))
        slope = design.T @ (times * (1 / (1 + np.exp(-odds)) - same))
        pull = _PULL * times.sum() / 1000
        return float(value + pull * away @ away), slope + 2 * pull * away

    bounds = [_bound(name, value) for name, value in start.items()]
    done = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds)
    return {name: round(float(value / _BITS), 3) for name, value in zip(names, done.x, strict=True)}


def _bound(name: tuple[str, str], bits: float) -> tuple[float, float]:
    if not name[0]:
        return -20 * _BITS, 4 * _BITS
    low, high = bits - _LOOSE, bits + _LOOSE
    low, high = (max(low, 0.0), high) if bits > 0 else (low, min(high, 0.0))
    return low * _BITS, high * _BITS


def choose(kind: str, plan: Plan, weights: Weights, folder: Path) -> tuple[float, dict[str, float]]:
    """The threshold with the best F1 of clusters at the wanted precision, on unseen sets."""
    write_model(kind, plan, weights, 0.5, {}, folder)
    runs = []
    for dropped in DROPPED[kind]:
        made = without(labelled(kind, ROWS, CHOOSING_SEED), dropped)
        path = folder / "choosing.csv"
        made.write(path)
        found = find_duplicates(Wanted(path, kind.partition("-")[0], threshold=0.02, models=folder))
        runs.append((found.pairs, made.pairs()))
    best = max(
        (_measured(runs, percent / 100) for percent in range(40, 100, 5)),
        key=lambda each: (min(each["precision"], PRECISION), each["f1"]),
    )
    return best.pop("threshold"), best


def _measured(runs: Sequence[Any], threshold: float) -> dict[str, float]:
    hits = found = true = 0
    for pairs, wanted in runs:
        inside = {pair for each in cluster(pairs, threshold) for pair in combinations(each, 2)}
        hits, found, true = hits + len(inside & wanted), found + len(inside), true + len(wanted)
    return {
        "threshold": threshold,
        "precision": round(hits / max(found, 1), 4),
        "recall": round(hits / max(true, 1), 4),
        "f1": round(2 * hits / max(found + true, 1), 4),
    }


def train(kind: str) -> str:
    """Train one kind and write its file; returns a line about it."""
    plan = PLANS[kind]
    found: list[Vector] = []
    for seed in TRAINING_SEEDS:
        made = labelled(kind, ROWS, seed)
        for dropped in DROPPED[kind]:
            found += vectors(kind, plan, without(made, dropped))
    weights = fit(plan, found)
    with TemporaryDirectory() as place:
        threshold, stated = choose(kind, plan, weights, Path(place))
    write_model(kind, plan, weights, threshold, stated)
    return f"{kind}: threshold {threshold}, {stated}"


def main() -> None:
    """Train the kinds named, or all."""
    for kind in sys.argv[1:] or PLANS:
        sys.stdout.write(train(kind) + "\n")


if __name__ == "__main__":
    main()
