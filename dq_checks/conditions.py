"""Rules compiled to counting: B, the elements that a rule is about, and A, the good ones.

A term is a small JSON value, so that it crosses to the worker process, is an argument of an
expectation, and two rules that count the same thing count it once:

``["all"]``  ``["filled", c]``  ``["blank", c]``  ``["match", c, pattern]``
``["length", c, n]``  ``["code", c, name]``  ``["in", c, values]``  ``["not in", c, values]``
``["range", c, low, high]``  ``["compare", a, op, b]``  ``["since", c, moment]``
``["sql", text]``  ``["sampled", c, share]``  ``["and", term, ...]``

The one null rule: null, and text of nothing but white space, is missing.  Missing values are
counted by ``filled`` rules and by nothing else; a key with a missing part is no key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from dq_checks.formats import FORMATS, Country
from dq_checks.suite import Condition, Rule

Term = list[Any]
ALL: Term = ["all"]


@dataclass(frozen=True, slots=True)
class Counting:
    """How a rule is counted.

    ``rows``: B rows meet ``checked`` and A rows meet ``good``.  ``unique``: B rows meet
    ``checked`` and have the whole key ``columns``; A of them are the only one with it.
    ``reference``: B rows meet ``checked``; A of them have ``columns[0]`` in ``table.key``.
    ``against``: B rows meet ``checked`` and can be compared with the second source ``table``, of
    which ``fields`` are read; with A of them it agrees.
    """

    how: Literal["rows", "unique", "reference", "against"]
    checked: Term
    good: Term
    columns: tuple[str, ...] = ()
    table: str = ""
    key: str = ""
    ignore_case: bool = False
    fields: tuple[str, ...] = ()

    def dump(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "columns": list(self.columns), "fields": list(self.fields)}


def both(*terms: Term) -> Term:
    """All of the terms; what is always true is left out."""
    wanted = [each for each in terms if each != ALL]
    if not wanted:
        return ALL
    return wanted[0] if len(wanted) == 1 else ["and", *wanted]


def counting(rule: Rule, country: Country, as_of: datetime, key: str = "id") -> Counting:
    """How to count a rule in a table of a country; ages are measured back from ``as_of``, and
    ``key`` is the column by which rows are drawn for a sample."""
    when = both(["sampled", key, rule.sample] if rule.sample else ALL, conditions(rule.when))
    column = rule.column or ""
    if rule.check == "unique":
        whole = both(*(["filled", each] for each in rule.columns))
        return Counting("unique", both(when, whole), [], rule.columns, ignore_case=rule.ignore_case)
    if rule.check == "reference":
        present = both(when, ["filled", column])
        return Counting("reference", present, [], (column,), rule.table or "", rule.key)
    if rule.check in ("listed", "same"):
        return _against(rule, column, when)
    if rule.check == "filled":
        return Counting("rows", when, both(when, ["filled", column]))
    if rule.check == "sql":
        about = both(when, ["sql", rule.applies] if rule.applies else ALL)
        return Counting("rows", about, both(about, ["sql", rule.good]))
    about = both(when, ["filled", column])
    if rule.check == "compare":
        about = both(about, ["filled", rule.other])
        return Counting("rows", about, both(about, ["compare", column, rule.op, rule.other]))
    return Counting("rows", about, both(when, _good(rule, column, country, as_of)))


def _against(rule: Rule, column: str, when: Term) -> Counting:
    columns, fields = [column], [rule.field or column]
    if rule.by is not None:
        columns.append(rule.by)
        fields.append(rule.field_by or rule.by)
    present = both(when, *(["filled", each] for each in columns))
    return Counting(
        "against", present, [], tuple(columns), rule.reference or "",
        ignore_case=rule.ignore_case, fields=tuple(fields),
    )  # fmt: skip


def conditions(wanted: Iterable[Condition]) -> Term:
    """The term that is true where all the conditions are."""
    return both(*(_condition(each) for each in wanted))


def _condition(condition: Condition) -> Term:
    if condition.is_ is not None:
        return [condition.is_, condition.column]
    if condition.one_of:
        return ["in", condition.column, list(condition.one_of)]
    return ["not in", condition.column, list(condition.none_of)]


def _good(rule: Rule, column: str, country: Country, as_of: datetime) -> Term:
    """A term that is true only of good values, hence never of missing ones."""
    if rule.check == "format":
        return ["match", column, FORMATS[rule.format or ""][country]]
    if rule.check == "pattern":
        return ["match", column, rule.pattern]
    if rule.check == "check_digit":
        return ["code", column, rule.code_of]
    if rule.check == "one_of":
        return ["in", column, list(rule.values)]
    if rule.check == "length":
        return both(["filled", column], ["length", column, rule.maximum])
    if rule.check == "range":
        return both(["filled", column], ["range", column, rule.minimum, rule.maximum])
    since = as_of - timedelta(days=rule.days or 0)
    return ["since", column, since.isoformat(timespec="seconds")]
