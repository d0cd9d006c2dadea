"""One form of a value for comparing: the same in the API's answer, in PostgreSQL and read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import BaseModel, ConfigDict

from crmops.connectors.base import FieldInfo

COLUMNS = {"number": "numeric", "bool": "boolean", "date": "date", "time": "timestamptz"}
"""PostgreSQL's type for a kind of field; every other kind is text."""

_MODULUS = 1 << 256


class Unfit(ValueError):
    """A value that is not of the kind that the CRM's own description says."""


class FieldShape(BaseModel):
    """A field as a snapshot keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    required: bool = False
    read_only: bool = False
    references: str = ""


def shape_of(field: FieldInfo) -> FieldShape:
    """What a snapshot keeps of a field's description."""
    kind = "text" if field.references else field.type
    return FieldShape(
        name=field.name,
        kind=kind,
        required=field.required,
        read_only=field.read_only,
        references=field.references,
    )


def normal(value: Any, kind: str) -> Any:
    """The value as None, bool or text.  Raises Unfit when it is not of the kind."""
    if value is None:
        return None
    try:
        if kind == "bool":
            return _truth(value)
        if kind == "number":
            return _number(value)
        if kind == "date":
            return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()
        if kind == "time":
            return _moment(value)
    except (ValueError, TypeError, InvalidOperation) as error:
        raise Unfit(f"no {kind}") from error
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if "\0" in text:
        raise Unfit("no text")
    return text


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _number(value: Any) -> str:
    if isinstance(value, bool):
        raise TypeError(value)
    found = Decimal(str(value))
    if not found.is_finite():
        raise ValueError(value)
    return format(found.normalize() + 0, "f")


def _moment(value: Any) -> str:
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return found.astimezone(UTC).isoformat(timespec="microseconds")


class Digest:
    """An order-free digest of records: the sum of the SHA-256 of each."""

    def __init__(self, fields: Iterable[FieldShape]) -> None:
        self._fields = sorted(fields, key=lambda each: each.name)
        self._sum = 0
        self.records = 0
        self.unfit: dict[str, int] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record in.  A value that is not of its kind counts as what it is."""
        values = []
        for field in self._fields:
            value = record.get(field.name)
            try:
                values.append(normal(value, field.kind))
            except Unfit:
                self.unfit[field.name] = self.unfit.get(field.name, 0) + 1
                values.append(["unfit", str(value)])
        text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
        self._sum += int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
        self.records += 1

    def text(self) -> str:
        """The digest in hexadecimal."""
        return f"{self._sum % _MODULUS:064x}"
