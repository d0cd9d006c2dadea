"""Great Expectations on a connection of ours, inside a transaction of ours."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from great_expectations.core.batch import Batch
from great_expectations.core.expectation_suite import ExpectationSuite
from great_expectations.execution_engine.execution_engine import (
    MetricComputationConfiguration,
)
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from great_expectations.validator.validator import Validator
from sqlalchemy.exc import SQLAlchemyError

from dq_checks.messages import Job
from dq_checks.worker.references import References
from dq_checks.worker.refusals import lost, timed_out
from dq_checks.worker.session import Table
from dq_checks.worker.tally import Tally

Say = Callable[[str], None]
NAMED = ("row_key", "row_owner", "row_region", "row_source")
_SAY_SECONDS = 1.0
_LONGEST_REST = 120.0


class AuditEngine(SqlAlchemyExecutionEngine):
    """The stock engine, reading through one connection.

    Each query has a savepoint of its own, so that one that fails leaves the transaction, and
    with it the snapshot, usable.  ``errors`` keeps what failed, for we tell causes apart and the
    stock results keep only texts.  After a lost
    connection nothing more is sent.  ``rows`` is the table's number of rows once it is known.
    """

    def __init__(self, connection: sa.Connection, table: Table, job: Job, say: Say) -> None:
        self.connection = connection
        self.suite = job.suite
        self.table = table
        self.rows: int | None = None
        self.gentle = job.duty < 1
        self.errors: list[Exception] = []
        self._late: dict[str, Exception] = {}
        self._scanned_late: Exception | None = None
        self._rest = 1 / job.duty - 1
        self._say = say
        self._said = time.monotonic()
        super().__init__(engine=connection.engine, create_temp_table=False)
        self.references = References(job)
        self.tally = Tally(self, job.slice_rows, job.ledger)

    @contextmanager
    def get_connection(self) -> Iterator[sa.Connection]:
        """The one connection."""
        yield self.connection

    def execute_query(self, query: Any) -> Any:
        """Run a query and fetch all of its few rows before its savepoint is released."""
        if self.errors and lost(self.errors[-1]):
            raise self.errors[-1]
        text = str(query)
        if text in self._late:  # the stock engine asks again, up to three times
            self.errors.append(self._late[text])
            raise self._late[text]
        began = time.monotonic()
        try:
            with self.connection.begin_nested():
                rows = self.connection.execute(query).freeze()
        except Exception as error:
            self.errors.append(error)
            if timed_out(error):
                self._late[text] = error
            raise
        self.rest(began)
        return rows()

    def rest(self, began: float) -> None:
        """Leave the server alone, after work since ``began``, for as long as the duty wants."""
        seconds = min((time.monotonic() - began) * self._rest, _LONGEST_REST)
        if seconds > _SAY_SECONDS:
            self._say("resting")
        time.sleep(seconds)

    def advance(self, number: int, of: int) -> None:
        """Say how far the counting is, once a second at most."""
        if of > 1 and time.monotonic() - self._said > _SAY_SECONDS:
            self._said = time.monotonic()
            self._say(f"counting, {number / of:.0%}")

    def resolve_metric_bundle(
        self, metric_fn_bundle: Iterable[MetricComputationConfiguration]
    ) -> dict[Any, Any]:
        """Our bundled metrics are counts of rows: they are counted together, as the tally does."""
        wanted = [each.metric_configuration for each in metric_fn_bundle]
        if not wanted:
            return {}
        if self._scanned_late is not None:  # nor would a scan for each be any sooner
            self.errors.append(self._scanned_late)
            raise self._scanned_late
        terms = [json.loads(each.metric_value_kwargs["term"]) for each in wanted]
        try:
            numbers = self.tally.count(terms)[()]
        except SQLAlchemyError as error:
            if timed_out(error):
                self._scanned_late = error
            raise
        return {each.id: number for each, number in zip(wanted, numbers, strict=True)}

    def close(self) -> None:
        """Nothing: the connection belongs to whoever gave it."""

    def named(self) -> list[sa.Label[Any]]:
        """A row's key, owner, region and source, under the names of ``NAMED``."""
        suite = self.suite
        return [
            sa.column(suite.key).label("row_key"),
            self._or_null(suite.owner_column).label("row_owner"),
            self._or_null(suite.region_column).label("row_region"),
            self._or_null(suite.source_column).label("row_source"),
        ]

    def _or_null(self, name: str | None) -> sa.ColumnElement[Any]:
        return sa.column(name) if name is not None and name in self.table.kinds else sa.null()

    def spent(self) -> bool:
        """Whether it makes no sense to ask the database again."""
        return any(lost(each) or timed_out(each) for each in self.errors)

    def validate(self, expectations: list[Any]) -> list[Any]:
        """Validate expectations together; a result for each, in any order."""
        data: Any = SqlAlchemyBatchData(
            execution_engine=self,
            selectable=sa.select(*self.table.source.c).select_from(self.table.source),
            create_temp_table=False,
            source_table_name=self.suite.table,
            source_schema_name=self.suite.table_schema,
        )
        suite = ExpectationSuite(self.suite.name, expectations=expectations)
        validator = Validator(
            execution_engine=self, expectation_suite=suite, batches=[Batch(data=data)]
        )
        validator.metrics_calculator.show_progress_bars = False
        return list(
            validator.graph_validate(
                configurations=[each.configuration for each in suite.expectations],
                runtime_configuration={"result_format": {"result_format": "BASIC"}},
            )
        )
