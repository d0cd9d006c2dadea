"""Reading records of every schema that was ever written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from crmops.errors import HistoryError
from crmops.record import RECORD_SCHEMA, Run

Step = Callable[[dict[str, Any]], dict[str, Any]]

STEPS: dict[int, Step] = {}
"""``STEPS[n]`` turns a record of schema n into one of n + 1.  Steps are only ever added."""


def load_record(body: str | bytes, steps: dict[int, Step] | None = None) -> Run:
    """A stored record as a Run of today.  Raises HistoryError for one of a later crmops."""
    data = json.loads(body)
    known = STEPS if steps is None else steps
    while data.get("schema", RECORD_SCHEMA) in known:
        version = data["schema"]
        data = {**known[version](data), "schema": version + 1}
    if data.get("schema", 0) > RECORD_SCHEMA:
        raise HistoryError(
            f"record {data.get('id')} has schema {data['schema']}, "
            f"this crmops knows {RECORD_SCHEMA}",
            hint="Upgrade crmops.",
        )
    return Run.model_validate(data)
