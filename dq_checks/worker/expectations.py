"""Our rules as Great Expectations: four expectations over four metrics of our own.

Stock row-wise expectations send a sample query each, window over every row for uniqueness and
know neither blank texts nor conditions within one scan.  These send one scan for all row-wise
rules of a table together, and one GROUP BY or anti-join for each of the others; they stay real
expectations, in real suites with real results.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, ClassVar

import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.validator.metric_configuration import MetricConfiguration

from dq_checks.conditions import Counting
from dq_checks.dialects import HASHES, hashed
from dq_checks.expressions import expression, key_part
from dq_checks.worker.engine import NAMED, AuditEngine
from dq_checks.worker.references import compared
from dq_checks.worker.slices import WHOLE, Slice

SLICES_A_PIECE = 20
"""A gentle audit counts the keys of so many slices in one statement."""

_AGGREGATE = MetricPartialFunctionTypes.AGGREGATE_FN


class RowsWhere(TableMetricProvider):
    """How many rows meet a term; all of a table's in one scan, the same term once."""

    metric_name = "crm.rows_where"
    value_keys = ("term",)

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=_AGGREGATE,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,
        execution_engine: AuditEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        # the engine counts the term by itself, with all the others
        return sa.func.count(), metric_domain_kwargs, {}


class RepeatedKeys(TableMetricProvider):
    """Rows whose key another row has too; a key with a missing part is no key."""

    metric_name = "crm.repeated_keys"
    value_keys = ("counting",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: AuditEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, int]:
        text: str = metric_value_kwargs["counting"]
        how = Counting(**json.loads(text))
        return execution_engine.tally.once(text, lambda: _repetitions(how, execution_engine))


class DanglingReferences(TableMetricProvider):
    """Rows whose reference leads nowhere."""

    metric_name = "crm.dangling_references"
    value_keys = ("counting",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: AuditEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, int]:
        how = Counting(**json.loads(metric_value_kwargs["counting"]))
        bad = 0
        for part in execution_engine.tally.parts:
            rows = dangling(how, execution_engine, part).subquery()
            count = sa.select(sa.func.count()).select_from(rows)
            bad += int(execution_engine.execute_query(count).scalar_one())
        return {"bad": bad}


class ComparedRows(TableMetricProvider):
    """Rows that can be compared with a second source, and those with which it does not agree."""

    metric_name = "crm.compared_rows"
    value_keys = ("counting",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: AuditEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, int]:
        how = Counting(**json.loads(metric_value_kwargs["counting"]))
        rows = compared(how, execution_engine).subquery()
        bad = sa.func.count(sa.case((sa.not_(rows.c.agrees), 1)))
        checked, bad = execution_engine.execute_query(sa.select(sa.func.count(), bad)).one()
        return {"checked": int(checked), "bad": int(bad)}


def _repetitions(how: Counting, engine: AuditEngine) -> dict[str, int]:
    found = {"checked": 0, "bad": 0}
    for piece in _pieces(how, engine):
        groups = repeated(how, engine).where(piece).subquery()
        totals = sa.select(
            sa.func.coalesce(sa.func.sum(groups.c.n), 0),
            sa.func.coalesce(sa.func.sum(sa.case((groups.c.n > 1, groups.c.n), else_=0)), 0),
        )
        keyed, shared = engine.execute_query(totals).one()
        found["checked"] += int(keyed)
        found["bad"] += int(shared)
    return found


def _pieces(how: Counting, engine: AuditEngine) -> list[sa.ColumnElement[bool]]:
    """Conditions that share out the keys of a large table, when statements are to be short.

    By the hash of a text of the key: equal numbers may be written in several ways, texts not.
    """
    kinds = engine.table.kinds
    texts = [each for each in how.columns if kinds[each] == "text"]
    number = len(engine.tally.parts) // SLICES_A_PIECE
    if number < 2 or not texts:
        return [sa.true()]
    value = hashed(key_part(texts[0], kinds, ignore_case=how.ignore_case))
    ends = [HASHES * at // number for at in range(number + 1)]
    return [sa.and_(value >= low, value < high) for low, high in pairwise(ends)]


def repeated(how: Counting, engine: AuditEngine) -> sa.Select[Any]:
    """Each key and the number ``n`` of rows that have it."""
    kinds = engine.table.kinds
    where = expression(how.checked, kinds)
    parts = [key_part(each, kinds, ignore_case=how.ignore_case) for each in how.columns]
    counted = sa.select(*[each.label(f"k{at}") for at, each in enumerate(parts)])
    return (
        counted.add_columns(sa.func.count().label("n"))
        .select_from(engine.table.source)
        .where(where)
        .group_by(*parts)
    )


def dangling(how: Counting, engine: AuditEngine, part: Slice = WHOLE) -> sa.Select[Any]:
    """The rows of a slice whose reference leads nowhere."""
    kinds = engine.table.kinds
    rows = (
        sa.select(*engine.named(), sa.column(how.columns[0]).label("link"))
        .select_from(engine.table.source)
        .where(expression(how.checked, kinds), part.where(engine.suite.key))
        .subquery("rows")
    )
    other = sa.table(how.table, sa.column(how.key), schema=engine.suite.table_schema).alias("other")
    found = sa.exists().where(other.c[how.key] == rows.c.link)
    return sa.select(*(rows.c[each] for each in NAMED)).where(~found)


class _Rule(BatchExpectation):
    """What all kinds of rule have in common."""

    counting: str
    mostly: float = 1.0
    success_keys: ClassVar[tuple[str, ...]] = ("counting", "mostly")

    def _judge(self, checked: int, good: int) -> dict[str, Any]:
        return {
            "success": good >= self.mostly * checked,
            "result": {
                "element_count": checked,
                "unexpected_count": checked - good,
                "observed_value": good,
            },
        }


def _metric(name: str, **values: Any) -> MetricConfiguration:
    return MetricConfiguration(name, metric_domain_kwargs={}, metric_value_kwargs=values)


class ExpectRowsToBeGood(_Rule):
    """At least ``mostly`` of the rows that the rule is about are good."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ()

    def get_validation_dependencies(self, *args: Any, **kwargs: Any) -> Any:
        wanted = super().get_validation_dependencies(*args, **kwargs)
        how = json.loads(self.counting)
        for name in ("checked", "good"):
            term = json.dumps(how[name], ensure_ascii=False)
            wanted.set_metric_configuration(name, _metric("crm.rows_where", term=term))
        return wanted

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self._judge(int(metrics["checked"]), int(metrics["good"]))


class ExpectKeysToBeUnique(_Rule):
    """At least ``mostly`` of the rows that have the whole key have it alone."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ()

    def get_validation_dependencies(self, *args: Any, **kwargs: Any) -> Any:
        wanted = super().get_validation_dependencies(*args, **kwargs)
        wanted.set_metric_configuration(
            "keys", _metric("crm.repeated_keys", counting=self.counting)
        )
        return wanted

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        found = metrics["keys"]
        return self._judge(found["checked"], found["checked"] - found["bad"])


class ExpectValuesToAgree(_Rule):
    """With at least ``mostly`` of the rows that can be compared a second source agrees."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ()

    def get_validation_dependencies(self, *args: Any, **kwargs: Any) -> Any:
        wanted = super().get_validation_dependencies(*args, **kwargs)
        wanted.set_metric_configuration(
            "rows", _metric("crm.compared_rows", counting=self.counting)
        )
        return wanted

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        found = metrics["rows"]
        return self._judge(found["checked"], found["checked"] - found["bad"])


class ExpectReferencesToExist(_Rule):
    """At least ``mostly`` of the references lead to a row."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ()

    def get_validation_dependencies(self, *args: Any, **kwargs: Any) -> Any:
        wanted = super().get_validation_dependencies(*args, **kwargs)
        term = json.dumps(json.loads(self.counting)["checked"], ensure_ascii=False)
        wanted.set_metric_configuration("checked", _metric("crm.rows_where", term=term))
        wanted.set_metric_configuration(
            "links", _metric("crm.dangling_references", counting=self.counting)
        )
        return wanted

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        checked = int(metrics["checked"])
        return self._judge(checked, checked - metrics["links"]["bad"])


EXPECTATIONS: dict[str, type[_Rule]] = {
    "rows": ExpectRowsToBeGood,
    "unique": ExpectKeysToBeUnique,
    "reference": ExpectReferencesToExist,
    "against": ExpectValuesToAgree,
}

KINDS: dict[str, type[_Rule]] = {
    "rows": ExpectRowsToBeGood,
    "unique": ExpectKeysToBeUnique,
    "reference": ExpectReferencesToExist,
    "listed": ExpectValuesToAgree,
    "same": ExpectValuesToAgree,
}
"""By the check of a rule; those that are not here look at rows."""
