"""A snapshot of a CRM: a directory with a file, or a directory of Parquet files, for each table.

One file is a snapshot of one table.  Tables beside the audited one answer references and tell
whose team an owner belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crmops.errors import UsageError
from dq_checks.files import parts, reading
from dq_checks.suite import Rule, Suite

_ENDINGS = ("", ".parquet", ".csv", ".xlsx")


def tables_in(path: Path, suite: Suite) -> dict[str, Path]:
    """Where the tables are that the suite names: its own first, others if they are there.

    Raises UsageError for a directory that has no such table.
    """
    if not path.is_dir():
        return {suite.table: path}
    found = {name: _table(path, name) for name in (suite.table, *sorted(_named(suite)))}
    there = {name: each for name, each in found.items() if each is not None}
    if suite.table in there:
        return there
    if parts(path):
        return {suite.table: path}
    raise UsageError(
        f"{path} has no table {suite.table!r}",
        hint=f"Put {suite.table}.parquet, .csv or .xlsx there, or a directory of Parquet files "
        "of that name.",
    )


def columns_in(path: Path) -> tuple[str, ...]:
    """The columns of a table.  Raises UsageError when it cannot be read."""
    with reading(path) as records:
        return records.columns


def fit(
    suite: Suite, tables: Mapping[str, Sequence[str]], path: Path, *, sql: bool = False
) -> Suite:
    """The suite as far as there are columns for it; ``tables`` has those of each table.

    Rules in SQL are written for the CRM's own database, and left out without ``sql``.
    Raises UsageError when no rule is left, or two columns got one name.
    """
    columns = tables[suite.table]
    repeated = sorted({each for each in columns if columns.count(each) > 1})
    if repeated:
        raise UsageError(
            f"two columns of {path.name} are mapped to {repeated[0]!r}", hint="Map one of them."
        )
    rules = [each for each in suite.rules if _fits(each, {*columns}, tables, sql=sql)]
    if not rules:
        raise UsageError(
            f"{path.name} has no column that suite {suite.name!r} knows",
            hint="Say which is which: --map 'Site name=name'.",
        )
    only = [each for each in suite.only if each.column in columns]
    told = suite.owners is not None and suite.owners.key in tables.get(suite.owners.table, ())
    return suite.model_copy(
        update={
            "rules": tuple(rules),
            "only": tuple(only),
            "owners": suite.owners if told else None,
        }
    )


def _fits(rule: Rule, columns: set[str], tables: Mapping[str, Sequence[str]], *, sql: bool) -> bool:
    if rule.check == "sql":
        return sql
    if rule.check == "reference" and rule.key not in tables.get(rule.table or "", ()):
        return False
    return rule.read <= columns


def read_of(suite: Suite) -> set[str]:
    """The columns of the audited table that the audit needs; others stay where they are."""
    named = {suite.owner_column, suite.region_column, *(each.column for each in suite.only)}
    named |= {each.key for each in suite.rules if each.table == suite.table}
    return {each for each in named if each}.union(*(each.read for each in suite.rules))


def beside(suite: Suite) -> dict[str, set[str]]:
    """The columns that the audit needs of other tables."""
    found: dict[str, set[str]] = {}
    for each in suite.rules:
        if each.table and each.table != suite.table:
            found.setdefault(each.table, set()).add(each.key)
    if suite.owners is not None:
        told = {suite.owners.key, suite.owners.team, suite.owners.region}
        found.setdefault(suite.owners.table, set()).update(each for each in told if each)
    found.pop(suite.table, None)
    return found


def _named(suite: Suite) -> set[str]:
    return {*beside(suite)}


def _table(folder: Path, name: str) -> Path | None:
    return next((each for end in _ENDINGS if (each := folder / f"{name}{end}").exists()), None)
