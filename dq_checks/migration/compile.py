"""From a field of a plan to the SQL expression of its canonical text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dq_checks.migration.dialect import Dialect, Family, literal, quoted
from dq_checks.migration.plan import DATE_PARTS, FieldSettings, Step

UNREADABLE = "!"
"""Stands before a value that is not of its field's type; it is compared as the text it is,
without semicolons."""

_INTEGER = "[+-]?[0-9]{1,18}(?:[.]0*)?"
_DECIMAL = "[+-]?(?:[0-9]{1,28}(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][+-]?[0-9]{1,2})?"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].*)?"
_MOMENT = (
    "[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,6})?)?"
    "(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_TRUE = ("true", "t", "1", "yes", "y", "是")
_FALSE = ("false", "f", "0", "no", "n", "否")


@dataclass(frozen=True)
class Compiled:
    """A field on one side, as SQL expressions.

    ``canonical`` is its text, null for none; ``present`` is null exactly when that is, and is the
    cheapest such.  ``ordered`` has least and most, empty for text, and is of ``family``; ``sums``
    says whether it has a sum.  ``native`` says that the engine's own type leaves nothing to read.
    ``unmapped`` is true for a value that a map lacks, empty where there is no such map.
    """

    name: str
    kind: str
    canonical: str
    present: str
    native: bool
    ordered: str = ""
    family: Family = "text"
    unmapped: str = ""

    @property
    def sums(self) -> bool:
        """Whether its values are numbers."""
        return self.kind in ("integer", "decimal")


def source_field(field: FieldSettings, columns: Mapping[str, Family], dialect: Dialect) -> Compiled:
    """A field as the source has it, its steps done."""
    if field.constant is not None:
        return _compiled(field, literal(field.constant), "text", field.steps, dialect)
    if field.concat:
        parts = [dialect.text(quoted(each), columns[each]) for each in field.concat]
        joined = f"concat_ws({literal(field.between)}, {', '.join(parts)})"
        value = f"CASE WHEN coalesce({', '.join(parts)}) IS NOT NULL THEN {joined} END"
        return _compiled(field, value, "text", field.steps, dialect)
    (column,) = field.sources
    return _compiled(field, quoted(column), columns[column], field.steps, dialect)


def target_field(field: FieldSettings, columns: Mapping[str, Family], dialect: Dialect) -> Compiled:
    """A field as the target has it."""
    return _compiled(field, quoted(field.name), columns[field.name], field.target_steps, dialect)


def serial(fields: Sequence[Compiled], dialect: Dialect) -> str:
    """Values as one text that no other values have, whatever they hold."""
    return dialect.serial(values_of(fields))


def values_of(fields: Sequence[Compiled]) -> list[tuple[str, bool]]:
    """Fields as a dialect takes them: canonical text, and whether it is free text."""
    return [(each.canonical, each.kind == "text") for each in fields]


def parse_serial(text: str, kinds: Sequence[str]) -> tuple[str | None, ...]:
    """The values in such a text, given the kinds of its fields."""
    values: list[str | None] = []
    left = text.encode()
    for kind in kinds:
        if kind == "text":
            digits, _, left = left.partition(b":")
            size = int(digits or 0)
            value, left = left[:size], left[size:]
            values.append(value.decode() if digits else None)
        else:
            value, _, left = left.partition(b";")
            values.append(value.decode() or None)
    return tuple(values)


def _compiled(
    field: FieldSettings, value: str, family: Family, steps: Sequence[Step], dialect: Dialect
) -> Compiled:
    unmapped, raw = "", value
    for each in steps:
        value, lacking = _step(each, dialect.text(value, family), dialect)
        unmapped = f"{unmapped} OR {lacking}" if unmapped and lacking else unmapped or lacking
        family = "text"
    canonical = _canonical(field, value, family, dialect)
    native = field.type == "text" or _typed(field, value, family, dialect) is not None
    never_null = all(each.do in ("trim", "lower") for each in steps)
    ordered, kept = _ordered(field, canonical, value if native else "", family, dialect)
    return Compiled(
        field.name,
        field.type,
        canonical,
        present=raw if native and never_null else canonical,
        native=native,
        ordered=ordered,
        family=kept,
        unmapped=unmapped,
    )


def _ordered(
    field: FieldSettings, canonical: str, native: str, family: Family, dialect: Dialect
) -> tuple[str, Family]:
    """What has least and most, and its family; of the engine's own type where that will do."""
    if field.type in ("integer", "decimal"):
        scale = field.scale if field.type == "decimal" else 0
        if family == "int":
            return native, "num"
        if native:
            return dialect.fixed(native, scale), "num"
        return dialect.numeric(canonical, scale), "num"
    if field.type in ("date", "timestamp"):
        fits = native and (family in ("ts", "tstz") or field.type == "date")
        return (native, family) if fits else (canonical, "text")
    return "", "text"


def _step(step: Step, text: str, dialect: Dialect) -> tuple[str, str]:
    """The text after a step, and when it is a value that the step's map lacks."""
    if step.map is not None:
        return _mapped(step, step.map, text)
    if step.date is not None:
        return _iso(step.date, text, dialect), ""
    if step.do == "trim":
        return dialect.trim(text), ""
    if step.do == "lower":
        return dialect.lower(text), ""
    return f"nullif({dialect.trim(text)}, '')", ""


def _mapped(step: Step, values: Mapping[str, str | None], text: str) -> tuple[str, str]:
    whens = " ".join(
        f"WHEN {literal(old)} THEN {'NULL' if new is None else literal(new)}"
        for old, new in values.items()
    )
    rest = "NULL" if step.others == "null" else text
    known = ", ".join(literal(each) for each in values)
    lacking = f"({text} IS NOT NULL AND {text} NOT IN ({known}))" if step.others == "count" else ""
    return f"CASE {text} {whens} ELSE {rest} END", lacking


def _iso(form: str, text: str, dialect: Dialect) -> str:
    """A date of a form as ISO 8601; what is not of that form stays as it is."""
    pattern, found, rest = "", [], form
    while rest:
        if rest[:2] in DATE_PARTS:
            found.append(rest[:2])
            pattern += DATE_PARTS[rest[:2]]
            rest = rest[2:]
        else:
            pattern += f"[{rest[0]}]" if rest[0] not in r"\^[]" else f"\\{rest[0]}"
            rest = rest[1:]

    def part(name: str) -> str:
        if name not in found:
            return "'00'"
        return f"lpad({dialect.part(trimmed, pattern, found.index(name) + 1)}, 2, '0')"

    trimmed = dialect.trim(text)
    year = dialect.part(trimmed, pattern, found.index("%Y") + 1)
    made = f"{year} || '-' || {part('%m')} || '-' || {part('%d')}"
    if {"%H", "%M", "%S"} & set(found):
        made += f" || ' ' || {part('%H')} || ':' || {part('%M')} || ':' || {part('%S')}"
    return f"CASE WHEN {dialect.matches(trimmed, pattern)} THEN {made} ELSE {text} END"


def _canonical(field: FieldSettings, value: str, family: Family, dialect: Dialect) -> str:
    """The text of a value such that equal values of the field's type have equal texts."""
    text = dialect.text(value, family)
    if field.type == "text":
        return text
    read = _typed(field, value, family, dialect)
    if read is not None:
        return read
    trimmed = dialect.trim(text)
    when, good = _read(field, trimmed, dialect)
    bad = f"{literal(UNREADABLE)} || replace(replace({text}, '!', '!!'), ';', '!.')"
    return (
        f"CASE WHEN {trimmed} = '' THEN NULL WHEN {when} THEN coalesce({good}, {bad}) "
        f"WHEN {text} IS NOT NULL THEN {bad} END"
    )


def _typed(field: FieldSettings, value: str, family: Family, dialect: Dialect) -> str | None:
    """A value that the engine itself holds in a fitting type; None where it must be read."""
    kind = field.type
    if kind == "integer" and family == "int":
        return dialect.text(value, family)
    if kind == "decimal" and family in ("int", "num"):
        return dialect.rounded(value, field.scale)
    if (kind, family) in (("boolean", "bool"), ("date", "date")):
        return dialect.text(value, family)
    if kind == "timestamp" and family in ("ts", "tstz"):
        return dialect.text(value, family)
    if kind == "timestamp" and family == "date":
        return dialect.text(f"CAST({value} AS timestamp)", "ts")
    return None


def _read(field: FieldSettings, text: str, dialect: Dialect) -> tuple[str, str]:
    """When a text is of the field's type, and what it then is."""
    if field.type == "integer":
        return dialect.matches(text, _INTEGER), dialect.number(text, 0)
    if field.type == "decimal":
        return dialect.matches(text, _DECIMAL), dialect.number(text, field.scale)
    if field.type == "date":
        return dialect.matches(text, _DATE), f"substr({text}, 1, 10)"
    if field.type == "timestamp":
        return dialect.matches(text, _MOMENT), dialect.moment(text)
    yes, no = (", ".join(literal(each) for each in words) for words in (_TRUE, _FALSE))
    lowered = dialect.lower(text)
    return (
        f"{lowered} IN ({yes}, {no})",
        f"CASE WHEN {lowered} IN ({yes}) THEN 'true' ELSE 'false' END",
    )
