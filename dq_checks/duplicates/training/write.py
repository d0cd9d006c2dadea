"""A plan and its weights as the file that is shipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dq_checks.duplicates.training.parts import Comparison, Plan

MODELS = Path(__file__).resolve().parent.parent / "models"
SCHEMA = 1

Weights = Mapping[tuple[str, str], float]
"""Bits by comparison and level; ``("", "prior")`` is the prior's log2 odds."""


def starting_weights(plan: Plan) -> dict[tuple[str, str], float]:
    """The weights of a plan before training."""
    found = {("", "prior"): plan.prior}
    for each in plan.comparisons:
        for level in each.levels:
            found[each.name, level.label] = level.bits
        found[each.name, "other"] = each.otherwise
    return found


def write_model(
    name: str,
    plan: Plan,
    weights: Weights,
    threshold: float,
    stated: Mapping[str, float],
    folder: Path = MODELS,
) -> Path:
    """Write ``<name>.json``; ``stated`` is what was measured at the threshold."""
    odds = 2.0 ** weights["", "prior"]
    document = {
        "schema": SCHEMA,
        "name": name,
        "threshold": threshold,
        "stated": dict(stated),
        "keys": [list(each) for each in plan.keys],
        "holders": [{"column": each.column, "of": each.of} for each in plan.holders],
        "splink": {
            "link_type": "dedupe_only",
            "unique_id_column_name": "row",
            "retain_matching_columns": False,
            "retain_intermediate_calculation_columns": False,
            "probability_two_random_records_match": round(odds / (1 + odds), 10),
            "blocking_rules_to_generate_predictions": [],
            "comparisons": [_comparison(each, weights) for each in plan.comparisons],
        },
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def _comparison(each: Comparison, weights: Weights) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"sql_condition": each.missing, "label_for_charts": "missing", "is_null_level": True}
    ]
    if each.missing == "false":
        levels.clear()
    labelled = [(level.label, level.sql) for level in each.levels] + [("other", "ELSE")]
    for label, sql in labelled:
        m, u = _shares(weights[each.name, label])
        levels.append(
            {
                "sql_condition": sql,
                "label_for_charts": label,
                "m_probability": m,
                "u_probability": u,
            }
        )
    return {"output_column_name": each.name, "comparison_levels": levels}


def _shares(bits: float) -> tuple[float, float]:
    """An m and a u whose ratio is 2 to the power of ``bits``; Splink uses nothing but the ratio."""
    factor = 2.0**bits
    return (0.9, round(0.9 / factor, 10)) if bits >= 0 else (round(0.9 * factor, 10), 0.9)
