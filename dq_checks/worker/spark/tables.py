"""Parquet files as tables of a Spark session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dq_checks.lake import LakeTable
from dq_checks.worker.problems import JobProblem

if TYPE_CHECKING:
    from pyspark.sql import Column

_NUMBER = r"\A[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?\z"
_DAY = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z"
_TIME = (
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?\z"
)
_KINDS = (("DOUBLE", _NUMBER), ("DATE", _DAY), ("TIMESTAMP", _TIME))
"""The narrowest first, as for files that are read into a scratch database."""


def view(session: Any, table: LakeTable) -> None:
    """Make a table known to the session by its name.  Raises JobProblem if it cannot be read."""
    from pyspark.sql import functions as f

    try:
        frame = session.read.parquet(table.path)
        columns = [f.col(_quoted(own)).alias(name) for name, own in table.columns.items()]
        if table.numbered:
            number = f.col("_metadata.row_index") + 1
            columns = [number.alias(table.numbered), *columns]
        kinds = dict(frame.dtypes)
        frame = frame.select(*columns)
        frame = frame.select(*(_cleaned(name, kind) for name, kind in frame.dtypes))
        frame = _typed(frame, table, kinds)
        frame.createOrReplaceTempView(_quoted(table.name))
    except Exception as error:  # Java's own among them
        raise JobProblem(
            f"table {table.name} cannot be read as Parquet",
            "Write the files again; are they whole, and all of one form?",
        ) from error


def _cleaned(name: str, kind: str) -> Column:
    """NaN is what pandas writes for a value that is missing."""
    from pyspark.sql import functions as f

    column = f.col(_quoted(name))
    if kind in ("float", "double"):
        return f.when(~f.isnan(column), column).alias(name)
    return column


def _typed(frame: Any, table: LakeTable, kinds: dict[str, str]) -> Any:
    """Texts that rules compare as numbers, dates or times become such, if all values are."""
    from pyspark.sql import functions as f

    asked = [each for each in table.typed if kinds.get(table.columns.get(each, "")) == "string"]
    if not asked:
        return frame
    tests = [f.count_if(_stripped(name) != "").alias(f"{at}") for at, name in enumerate(asked)]
    for at, name in enumerate(asked):
        tests += [
            f.count_if(_cast(name, kind, form).isNotNull()).alias(f"{at} {kind}")
            for kind, form in _KINDS
        ]
    found = frame.agg(*tests).first()
    for at, name in enumerate(asked):
        for kind, form in _KINDS:
            if 0 < found[f"{at}"] == found[f"{at} {kind}"]:
                frame = frame.withColumn(name, _cast(name, kind, form))
                break
    return frame


def _stripped(name: str) -> Column:
    from pyspark.sql import functions as f

    return f.regexp_replace(f.col(_quoted(name)), r"\A[\s\u00a0\u3000]+|[\s\u00a0\u3000]+\z", "")


def _cast(name: str, kind: str, form: str) -> Column:
    from pyspark.sql import functions as f

    text = _stripped(name)
    return f.when(text.rlike(form), text.try_cast(kind))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
