"""Pairs to probabilities, by Splink with the shipped settings, a batch at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from dq_checks.duplicates.model import Model

BATCH = 1_000_000
"""Pairs that are scored together; bounds memory, and gives progress something to say."""

KEPT = 0.01
"""Less likely pairs are not kept: clustering takes a pair that it does not know for none."""

Scored = tuple[int, int, float]
Told = Callable[[int], None]


class Scorer:
    """Scores pairs of the table ``records``."""

    def __init__(self, connection: Any, model: Model) -> None:
        from splink import DuckDBAPI, Linker

        logging.getLogger("splink").setLevel(logging.ERROR)
        self._connection = connection
        self._api = DuckDBAPI(connection=connection)
        records = self._api.register("records", table_name="input_records")
        self._linker = Linker(
            records, dict(model.splink), log_level=logging.ERROR, validate_settings=False
        )
        self._batches = 0

    def score(self, table: str, number: int, told: Told | None = None) -> list[Scored]:
        """Score the ``number`` pairs (l, r) of a table; those worth keeping."""
        found: list[Scored] = []
        for first in range(0, number, BATCH):
            last = first + BATCH - 1
            found += self._batch(f"select l, r from {table} where rowid between {first} and {last}")
            if told is not None:
                told(min(first + BATCH, number))
        return found

    def _batch(self, pairs: str) -> Iterator[Scored]:
        self._batches += 1
        name = f"batch_{self._batches}"
        self._connection.execute(
            f"create table {name} as select '0' as match_key, l as join_key_l, r as join_key_r"
            f" from ({pairs})"
        )
        blocked = self._api.register(name, table_name=f"input_{name}")
        self._linker.table_management.register_blocked_pairs_for_predict(blocked)
        scored = self._linker.inference.predict(
            threshold_match_probability=KEPT, warning_mode="never"
        )
        rows = self._connection.execute(
            f"select row_l, row_r, match_probability from {scored.physical_name}"
        ).fetchall()
        scored.drop_table_from_database_and_remove_from_cache()
        self._connection.execute(f"drop table {name}")
        return iter(rows)
