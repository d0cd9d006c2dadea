"""Rows of a file to columns that can be compared, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Literal

from crmops.tables import check_width
from dq_checks.duplicates import lines
from dq_checks.duplicates.fields import Columns, Entity
from dq_checks.duplicates.lines import Lines, column
from dq_checks.duplicates.words import FREE_MAIL, STOP_WORDS

Script = Literal["latin", "chinese"]
Texts = list[str | None]
Block = Mapping[str, str]
"""Field to its values as written, one a line: one text travels faster than its many values."""

BLOCK = 50_000
"""Rows that are normalised together: enough for speed, few enough for memory."""

_CHINESE_SHARE = 0.3
_RARE_WORDS = 4

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
        made = list(zip_longest(*taken, fillvalue=""))
        nothing = [""] * len(taken)
        yield {
            name: lines.joined(made[at] if at < len(made) else nothing)
            for name, at in columns.at.items()
        }


def script_of(block: Block) -> Script:
    """Chinese if at least three in ten of the names that are there hold a Chinese character."""
    names = next((block[each] for each in ("name", "surname", "company") if each in block), "")
    filled = [each for each in names.split("\n") if each.strip()]
    chinese = sum(any("\u4e00" <= letter <= "\u9fff" for letter in each) for each in filled)
    return "chinese" if filled and chinese >= _CHINESE_SHARE * len(filled) else "latin"


def prepare(block: Block, entity: Entity, script: Script) -> dict[str, Texts]:
    """The columns of ``COLUMNS`` for a block; those that the file does not have are empty."""
    made = _PREPARE[entity, script](_Source(block))
    return {name: made[name] for name in COLUMNS[entity, script]}


class _Source:
    """Normalised columns of a block, each made once."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._folded: dict[str, str] = {}
        self.nothing: Texts = [None] * (next(iter(block.values()), "").count("\n") + 1)

    def get(self, field: str, of: Lines) -> Texts:
        """A column, normalised; a field that the file does not have is missing everywhere."""
        if field not in self._block:
            return self.nothing
        return lines.values_of(of(self._fold(field)))

    def _fold(self, field: str) -> str:
        if field not in self._folded:
            self._folded[field] = lines.fold(lines.tidied(self._block[field]))
        return self._folded[field]

    def fallback(self, field: str, other: str, of: Lines) -> Texts:
        """A field; where it has nothing, the other one, which is looked at only there."""
        values = self.get(field, of)
        if None not in values or not self.has(other):
            return values
        texts = self._fold(other).split("\n")
        needed = [b if a is None else "" for a, b in zip(values, texts, strict=True)]
        return first_of(values, lines.values_of(of("\n".join(needed))))

    def has(self, field: str) -> bool:
        """Whether the file has the field."""
        return field in self._block


def first_of(*columns: Texts) -> Texts:
    """Row by row the first value that is there."""
    return [next((each for each in row if each), None) for row in zip(*columns, strict=True)]


def _contact_numbers(source: _Source) -> tuple[Texts, Texts]:
    """Mobile and landline, whichever column they were written in."""
    mobile = source.get("mobile", lines.mobiles)
    if not source.has("phone"):
        return mobile, source.nothing
    meant = first_of(mobile, source.get("phone", lines.mobiles))
    phone = source.get("phone", lines.phones)
    return meant, [None if a == b else a for a, b in zip(phone, meant, strict=True)]


def _latin_contact(source: _Source) -> dict[str, Texts]:
    given, surname = _names(source)
    person = [f"{a or ''} {b or ''}".strip() or None for a, b in zip(given, surname, strict=True)]
    address = source.get("address", lines.addresses)
    return {
        "given": given,
        "surname": surname,
        "person": person,
        "company": source.get("company", lines.latin_companies),
        "birth": source.get("birth", lines.dates),
        "number": source.get("number", lines.numbers),
        "house": first_of(source.get("house", lines.numbers), column(address, lines.houses)),
        "street": column(address, lines.streets),
        "street2": column(source.get("address2", lines.addresses), lines.streets),
        "city": source.get("city", lines.latin),
        "region": source.get("region", lines.latin),
        "postcode": source.get("postcode", lines.postcodes),
        "email": source.get("email", lines.emails),
        "mobile": source.get("mobile", lines.phones),
        "phone": source.get("phone", lines.phones),
    }


def _names(source: _Source) -> tuple[Texts, Texts]:
    """Given name and surname; a whole name is split at its last blank (or first comma)."""
    given, surname = source.get("given", lines.latin), source.get("surname", lines.latin)
    if not source.has("name"):
        return given, surname
    whole = [(each or "").rpartition(" ") for each in source.get("name", lines.whole_names)]
    return (
        first_of(given, [first or None for first, _, _ in whole]),
        first_of(surname, [last or None for _, _, last in whole]),
    )


def _chinese_contact(source: _Source) -> dict[str, Texts]:
    mobile, phone = _contact_numbers(source)
    person = source.get("name", lines.people)
    if source.has("given") or source.has("surname"):
        parts = zip(
            source.get("surname", lines.people), source.get("given", lines.people), strict=True
        )
        person = first_of(person, [f"{a or ''}{b or ''}" or None for a, b in parts])
    return {
        "person": person,
        "company": source.get("company", lines.companies),
        "branch": source.get("company", lines.branches),
        "birth": source.get("birth", lines.dates),
        "number": source.get("number", lines.numbers),
        "address": source.get("address", lines.chinese_addresses),
        "city": source.fallback("city", "company", lines.places),
        "email": source.get("email", lines.emails),
        "mobile": mobile,
        "phone": phone,
    }


def _latin_account(source: _Source) -> dict[str, Texts]:
    name = source.get("name", lines.latin_companies)
    address = source.get("address", lines.addresses)
    email = source.get("email", lines.emails)
    return {
        "name": name,
        "words": [_words(each) for each in name],
        "house": first_of(source.get("house", lines.numbers), column(address, lines.houses)),
        "way": column(address, lines.ways),
        "street": column(address, lines.streets),
        "city": source.get("city", lines.latin),
        "region": source.get("region", lines.latin),
        "postcode": source.get("postcode", lines.postcodes),
        "host": first_of(source.get("website", lines.hosts), _hosts_of(email)),
        "email": email,
        "phone": source.get("phone", lines.phones),
        "number": source.get("number", lines.numbers),
    }


def _words(name: str | None) -> str | None:
    """The words of a name in order of the alphabet, small ones left out."""
    return " ".join(sorted(set((name or "").split()) - STOP_WORDS)) or None


def _hosts_of(emails: Texts) -> Texts:
    hosts = [(each or "").partition("@")[2] for each in emails]
    return [None if each in FREE_MAIL else each or None for each in hosts]


def _chinese_account(source: _Source) -> dict[str, Texts]:
    email = source.get("email", lines.emails)
    address = source.get("address", lines.chinese_addresses)
    place = source.fallback("name", "city", lines.places)
    if None in place:
        place = first_of(place, source.get("address", lines.places))
    return {
        "name": source.get("name", lines.companies),
        "branch": source.get("name", lines.branches),
        "grouped": source.get("name", lines.groups),
        "place": place,
        "address": address,
        "house": column(address, lines.chinese_houses),
        "city": source.get("city", lines.places),
        "host": first_of(source.get("website", lines.hosts), _hosts_of(email)),
        "email": email,
        "phone": source.get("phone", lines.phones),
        "number": source.get("number", lines.numbers),
    }


_PREPARE: Mapping[tuple[Entity, Script], Callable[[_Source], dict[str, Texts]]] = {
    ("contact", "latin"): _latin_contact,
    ("contact", "chinese"): _chinese_contact,
    ("account", "latin"): _latin_account,
    ("account", "chinese"): _chinese_account,
}
