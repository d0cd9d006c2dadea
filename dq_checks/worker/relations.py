"""Lines of a second source as a relation of the audited database, without writing there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from dq_checks.dialects_mysql import exact

Texts = Sequence[str]
Numbers = Sequence[Decimal | None]

_NAMES = ("other_key", "other_value", "other_number")  # unlike any column of a CRM


def relation(connection: sa.Connection, keys: Texts, values: Texts, numbers: Numbers) -> Any:
    """A relation with the columns ``other_key``, ``other_value`` and ``other_number``."""
    return _MADE[connection.dialect.name](connection, keys, values, numbers)


def _arrays(_connection: sa.Connection, keys: Texts, values: Texts, numbers: Numbers) -> Any:
    def array(found: Sequence[Any], kind: Any) -> Any:
        return sa.cast(sa.literal(found, ARRAY(kind)), ARRAY(kind))

    return (
        sa.func.unnest(
            array(keys, sa.Text()), array(values, sa.Text()), array(numbers, sa.Numeric())
        )
        .table_valued(*_NAMES)
        .render_derived(name="other")
    )


def _lite(_connection: sa.Connection, keys: Texts, values: Texts, numbers: Numbers) -> Any:
    floats = [None if each is None else float(each) for each in numbers]
    each = sa.func.json_each(_document(keys, values, floats)).table_valued("value", name="each")
    return sa.select(
        *(
            sa.func.json_extract(each.c.value, f"$[{at}]").label(name)
            for at, name in enumerate(_NAMES)
        )
    ).subquery("other")


def _maria(_connection: sa.Connection, keys: Texts, values: Texts, numbers: Numbers) -> Any:
    texts = [None if each is None else f"{each:f}" for each in numbers]
    table = sa.text(
        "JSON_TABLE(:document, '$[*]' COLUMNS (k LONGTEXT PATH '$[0]', v LONGTEXT PATH '$[1]',"
        " n DECIMAL(65, 20) PATH '$[2]')) AS listed"
    ).bindparams(document=_document(keys, values, texts))
    key, value = (exact(sa.column(name, sa.String())) for name in ("k", "v"))
    columns: list[sa.ColumnElement[Any]] = [key, value, sa.column("n", sa.Numeric())]
    named = [each.label(name) for each, name in zip(columns, _NAMES, strict=True)]
    return sa.select(*named).select_from(table).subquery("other")


def _spark(connection: sa.Connection, keys: Texts, values: Texts, numbers: Numbers) -> Any:
    from dq_checks.worker.spark.session import written

    driver: Any = connection.connection.dbapi_connection
    columns = dict(zip(_NAMES, (keys, values, numbers), strict=True))
    return sa.table(written(driver.session, columns), *map(sa.column, _NAMES)).alias("other")


def _document(*columns: Sequence[Any]) -> str:
    return json.dumps(list(zip(*columns, strict=True)), ensure_ascii=False)


_MADE: dict[str, Callable[[sa.Connection, Texts, Texts, Numbers], Any]] = {
    "postgresql": _arrays,
    "sqlite": _lite,
    "mysql": _maria,
    "mariadb": _maria,
    "spark": _spark,
}
