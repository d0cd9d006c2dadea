"""Turn what a caller sent into values fit for the database, or say what is wrong field by field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from refcrm.errors import invalid
from refcrm.model import Entity, Field, Type

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_MAX_ID = 2**63 - 1
_MONEY_LIMIT = Decimal(10) ** 14
_CENT = Decimal("0.01")
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})


def clean(entity: Entity, body: object, *, creating: bool) -> dict[str, Any]:
    """The database values for a JSON body of a create or change.

    Raises ApiError 400 ``invalid`` naming every unfit field with its reason.
    """
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object of fields")
    values, reasons = check(entity, body, creating=creating)
    if reasons:
        raise invalid(f"{len(reasons)} field(s) of {entity.name} do not fit", reasons)
    return values


def check(
    entity: Entity, body: Mapping[str, Any], *, creating: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """As clean, but returns (values, {field: reason}); for rows of a bulk import too.

    Text from a CSV cell is accepted wherever JSON would carry a number, truth value or null
    (the empty string).
    """
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, given in body.items():
        field = entity.by_name.get(name)
        if field is None:
            reasons[name] = "is not a field"
        elif field.read_only:
            reasons[name] = "is read only"
        else:
            try:
                values[name] = convert(field, given)
            except ValueError as error:
                reasons[name] = str(error)
    if creating:
        for field in entity.fields:
            if field.required and field.name not in body:
                reasons[field.name] = "is required"
    return values, reasons


def convert(field: Field, given: Any) -> Any:
    """One value for the database; ValueError with the reason when it does not fit."""
    if given is None or given == "":
        if field.required:
            raise ValueError("is required")
        if field.type is Type.BOOLEAN:
            raise ValueError("must be true or false")
        return None
    return _CONVERTERS[field.type](field, given)


def _to_text(field: Field, given: Any) -> str:
    if not isinstance(given, str):
        raise ValueError("must be text")
    if field.max_length is not None and len(given) > field.max_length:
        raise ValueError(f"is longer than {field.max_length} characters")
    if "\0" in given:
        raise ValueError("contains a null character")
    if field.required and not given.strip():
        raise ValueError("is required")
    if field.values and given not in field.values:
        raise ValueError(f"must be one of {', '.join(field.values)}")
    return given


def _to_email(field: Field, given: Any) -> str:
    text = _to_text(field, given)
    if _EMAIL.fullmatch(text) is None:
        raise ValueError("is not an e-mail address")
    return text


def _to_id(field: Field, given: Any) -> int:
    del field
    number = to_id(given)
    if number is None:
        raise ValueError("is not an id")
    return number


def to_id(given: object) -> int | None:
    """A record id from its text or number form; None when it cannot be one."""
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) <= 19:
        given = int(given)
    if isinstance(given, int) and not isinstance(given, bool) and 0 < given <= _MAX_ID:
        return given
    return None


def _to_integer(field: Field, given: Any) -> int:
    del field
    try:
        number = int(given) if isinstance(given, str) and len(given) < 20 else given
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or abs(number) > 2**31 - 1:
        raise ValueError("must be a whole number")
    return number


def _to_money(field: Field, given: Any) -> Decimal:
    del field
    if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal):
        raise ValueError("must be a number")
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        raise ValueError("must be a number") from None
    if not amount.is_finite():
        raise ValueError("must be a number")
    if abs(amount) >= _MONEY_LIMIT:
        raise ValueError("is out of range")
    return amount.quantize(_CENT)


def _to_boolean(field: Field, given: Any) -> bool:
    del field
    if isinstance(given, bool):
        return given
    text = given.strip().lower() if isinstance(given, str) else ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("must be true or false")


def _to_date(field: Field, given: Any) -> date:
    del field
    try:
        return date.fromisoformat(given)
    except (TypeError, ValueError):
        raise ValueError("must be a date such as 2026-01-31") from None


def _to_time(field: Field, given: Any) -> datetime:
    del field
    moment = to_time(given)
    if moment is None:
        raise ValueError("must be a time such as 2026-01-31T08:00:00Z")
    return moment


def to_time(given: object) -> datetime | None:
    """An ISO 8601 time as aware UTC; without an offset it is taken as UTC. None when unfit."""
    if not isinstance(given, str):
        return None
    # In a query string an unescaped "+08:00" arrives as " 08:00".
    try:
        moment = datetime.fromisoformat(given.strip().replace(" ", "+") if "T" in given else given)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


_CONVERTERS: dict[Type, Callable[[Field, Any], Any]] = {
    Type.TEXT: _to_text,
    Type.EMAIL: _to_email,
    Type.REFERENCE: _to_id,
    Type.INTEGER: _to_integer,
    Type.MONEY: _to_money,
    Type.BOOLEAN: _to_boolean,
    Type.DATE: _to_date,
    Type.TIME: _to_time,
}
