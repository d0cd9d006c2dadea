"""Worklists: which records break which rule.  Keys and owners' keys only, no contents."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from dq_checks.messages import Issue
from dq_checks.suite import Suite

COLUMNS = ("suite", "entity", "rule", "record", "record_owner", "rule_owner")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def worklist(suite: Suite, issues: Iterable[Issue]) -> str:
    """The issues as CSV with a head row."""
    stewards = {each.id: each.owner for each in suite.rules}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in issues:
        row = (suite.name, suite.entity, each.rule, each.key, each.owner, stewards[each.rule])
        writer.writerow([neutral(value) for value in row])
    return out.getvalue()


def neutral(value: str) -> str:
    """The value such that no spreadsheet takes it for a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value
