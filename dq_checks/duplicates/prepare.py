"""Rows of a file to columns that can be compared, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Literal

from crmops.tables import check_width
from dq_checks.duplicates import lines
from dq_checks.duplicates.columns import (
    Array,
    Column,
    first_of,
    side_by_side,
    texts,
    trimmed,
    unless_same,
)
from dq_checks.duplicates.fields import Columns, Entity
from dq_checks.duplicates.lines import Lines

Script = Literal["latin", "chinese"]
Block = Mapping[str, Array]
"""Field to its values as written; what is empty is an empty text."""

BLOCK = 50_000
"""Rows that are normalised together: enough for speed, few enough for memory."""

_CHINESE_SHARE = 0.3

COLUMNS: Mapping[tuple[Entity, Script], tuple[str, ...]] = {
    ("contact", "latin"): (
        "given", "surname", "person", "company", "birth", "number", "house", "street", "street2",
        "city", "region", "postcode", "email", "mobile", "phone",
    ),
    ("contact", "chinese"): (
        "person", "company", "branch", "birth", "number", "address", "city", "email", "mobile",
        "phone",
    ),
    ("account", "latin"): (
        "name", "words", "house", "way", "street", "city", "region", "postcode", "host", "email",
        "phone", "number",
    ),
    ("account", "chinese"): (
        "name", "branch", "grouped", "place", "address", "house", "city", "host", "email", "phone",
        "number",
    ),
}  # fmt: skip
"""What each kind of record is compared by.  All are texts; missing is None."""


def blocks(path: Path, rows: Iterable[Sequence[str]], columns: Columns) -> Iterator[Block]:
    """Data rows as columns, ``BLOCK`` rows at a time.  Raises UsageError for a row too wide."""
    read = iter(rows)
    width, before = len(columns.heads), 0
    while taken := list(islice(read, BLOCK)):
        for number, cells in enumerate(taken, before + 1):
            if len(cells) > width:
                check_width(path, number, cells, width)
        before += len(taken)
        yield block_of(taken, columns.at)


def block_of(rows: Sequence[Sequence[str]], at: Mapping[str, int]) -> Block:
    """Rows as columns; what a row is too short for is empty."""
    made = list(zip_longest(*rows, fillvalue=""))
    nothing = [""] * len(rows)
    return {
        field: texts(made[place] if place < len(made) else nothing) for field, place in at.items()
    }


def script_of(block: Block) -> Script:
    """Chinese if at least three in ten of the names that are there hold a Chinese character."""
    names = next((block[each] for each in ("name", "surname", "company") if each in block), None)
    filled = [] if names is None else [each for each in names.to_pylist() if each.strip()]
    chinese = sum(any("\u4e00" <= letter <= "\u9fff" for letter in each) for each in filled)
    return "chinese" if filled and chinese >= _CHINESE_SHARE * len(filled) else "latin"


def prepare(block: Block, entity: Entity, script: Script) -> dict[str, Array]:
    """The columns of ``COLUMNS`` for a block; those that the file does not have are empty."""
    made = _PREPARE[entity, script](_Source(block))
    prepared = {name: made[name] for name in COLUMNS[entity, script]}
    return prepared | ({"id": trimmed(block["id"])} if "id" in block else {})


class _Source:
    """Normalised columns of a block."""

    def __init__(self, block: Block) -> None:
        self._columns = {field: Column(values) for field, values in block.items()}
        rows = len(next(iter(block.values()), ()))
        self.nothing: Array = texts([None] * rows)

    def get(self, field: str, of: Lines) -> Array:
        """A column, normalised; a field that the file does not have is missing everywhere."""
        return self._columns[field].get(of) if self.has(field) else self.nothing

    def fallback(self, values: Array, field: str, of: Lines) -> Array:
        """The values; where there is none, what the field says, which is looked at only there."""
        if not values.null_count or not self.has(field):
            return values
        return first_of(values, self._columns[field].some(values.is_null(), of))

    def has(self, field: str) -> bool:
        """Whether the file has the field."""
        return field in self._columns


def _of(values: Array, of: Lines) -> Array:
    """What is made of a column that is normalised already."""
    return Column(values.fill_null("")).get(of)


def _contact_numbers(source: _Source) -> tuple[Array, Array]:
    """Mobile and landline, whichever column they were written in."""
    mobile = source.get("mobile", lines.mobiles)
    if not source.has("phone"):
        return mobile, source.nothing
    meant = first_of(mobile, source.get("phone", lines.mobiles))
    return meant, unless_same(source.get("phone", lines.phones), meant)


def _latin_contact(source: _Source) -> dict[str, Array]:
    given, surname = _names(source)
    address = source.get("address", lines.addresses)
    return {
        "given": given,
        "surname": surname,
        "person": side_by_side(given, surname, " "),
        "company": source.get("company", lines.latin_companies),
        "birth": source.get("birth", lines.dates),
        "number": source.get("number", lines.numbers),
        "house": first_of(source.get("house", lines.numbers), _of(address, lines.houses)),
        "street": _of(address, lines.streets),
        "street2": _of(source.get("address2", lines.addresses), lines.streets),
        "city": source.get("city", lines.latin),
        "region": source.get("region", lines.latin),
        "postcode": source.get("postcode", lines.postcodes),
        "email": source.get("email", lines.emails),
        "mobile": source.get("mobile", lines.phones),
        "phone": source.get("phone", lines.phones),
    }


def _names(source: _Source) -> tuple[Array, Array]:
    """Given name and surname; a whole name is split at its last blank (or first comma)."""
    given, surname = source.get("given", lines.latin), source.get("surname", lines.latin)
    if not source.has("name"):
        return given, surname
    whole = source.get("name", lines.whole_names)
    return (
        first_of(given, _of(whole, lines.all_but_last)),
        first_of(surname, _of(whole, lines.last_words)),
    )


def _chinese_contact(source: _Source) -> dict[str, Array]:
    mobile, phone = _contact_numbers(source)
    person = source.get("name", lines.people)
    if source.has("given") or source.has("surname"):
        parts = source.get("surname", lines.people), source.get("given", lines.people)
        person = first_of(person, side_by_side(*parts, ""))
    return {
        "person": person,
        "company": source.get("company", lines.companies),
        "branch": source.get("company", lines.branches),
        "birth": source.get("birth", lines.dates),
        "number": source.get("number", lines.numbers),
        "address": source.get("address", lines.chinese_addresses),
        "city": source.fallback(source.get("city", lines.places), "company", lines.places),
        "email": source.get("email", lines.emails),
        "mobile": mobile,
        "phone": phone,
    }


def _latin_account(source: _Source) -> dict[str, Array]:
    name = source.get("name", lines.latin_companies)
    address = source.get("address", lines.addresses)
    email = source.get("email", lines.emails)
    return {
        "name": name,
        "words": _of(name, lines.words),
        "house": first_of(source.get("house", lines.numbers), _of(address, lines.houses)),
        "way": _of(address, lines.ways),
        "street": _of(address, lines.streets),
        "city": source.get("city", lines.latin),
        "region": source.get("region", lines.latin),
        "postcode": source.get("postcode", lines.postcodes),
        "host": first_of(source.get("website", lines.hosts), _of(email, lines.mail_hosts)),
        "email": email,
        "phone": source.get("phone", lines.phones),
        "number": source.get("number", lines.numbers),
    }


def _chinese_account(source: _Source) -> dict[str, Array]:
    email = source.get("email", lines.emails)
    address = source.get("address", lines.chinese_addresses)
    place = source.fallback(source.get("name", lines.places), "city", lines.places)
    return {
        "name": source.get("name", lines.companies),
        "branch": source.get("name", lines.branches),
        "grouped": source.get("name", lines.groups),
        "place": source.fallback(place, "address", lines.places),
        "address": address,
        "house": _of(address, lines.chinese_houses),
        "city": source.get("city", lines.places),
        "host": first_of(source.get("website", lines.hosts), _of(email, lines.mail_hosts)),
        "email": email,
        "phone": source.get("phone", lines.phones),
        "number": source.get("number", lines.numbers),
    }


_PREPARE: Mapping[tuple[Entity, Script], Callable[[_Source], dict[str, Array]]] = {
    ("contact", "latin"): _latin_contact,
    ("contact", "chinese"): _chinese_contact,
    ("account", "latin"): _latin_account,
    ("account", "chinese"): _chinese_account,
}
