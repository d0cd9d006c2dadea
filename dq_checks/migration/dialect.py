"""SQL of two engines that says the same: DuckDB for files, PostgreSQL where the records lie.

Both sides of a comparison turn a value into the same text, so that digests made by different
engines are equal exactly when the values are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

Family = Literal["int", "num", "float", "bool", "date", "ts", "tstz", "text"]
"""What an engine's own type comes down to."""

BUCKET_DIGITS = 3
"""Hexadecimal digits of the key's hash that make a range: 4,096 ranges, so that one of ten
million records holds about 2,400."""

_BLANKS = " \t\n\r\f\v\u00a0\u3000\ufeff"


def literal(text: str) -> str:
    """A text as SQL; there is no backslash escape in either engine."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


class Dialect(Protocol):
    """What the compiler needs to say.  Arguments and answers are SQL expressions."""

    def text(self, value: str, family: Family) -> str:
        """Any value as text; moments in UTC."""

    def matches(self, text: str, pattern: str) -> str:
        """Whether the whole text is of a pattern that both engines read alike."""

    def part(self, text: str, pattern: str, number: int) -> str:
        """A group of the pattern in the text."""

    def number(self, text: str, scale: int) -> str:
        """A text that is a number as text with exactly so many decimals."""

    def moment(self, text: str) -> str:
        """An ISO 8601 text as the text of that moment in UTC."""

    def numeric(self, canonical: str, scale: int) -> str:
        """A canonical number as a number, null where it could not be read."""

    def fixed(self, value: str, scale: int) -> str:
        """A number of the engine, rounded to so many decimals."""

    def rounded(self, value: str, scale: int) -> str:
        """A number of the engine as text with exactly so many decimals."""

    def trim(self, text: str) -> str:
        """Without blanks at both ends; written such that values without any are quick."""

    def serial(self, values: Sequence[tuple[str, bool]]) -> str:
        """Texts as one text: a free one (true) has its length in bytes of UTF-8 before it, so
        that it ends unmistakably; the others cannot hold a semicolon and end with one."""

    def lower(self, text: str) -> str:
        """In lower case, character by character as Unicode's simple mapping says."""

    def digest(self, values: Sequence[tuple[str, bool]]) -> str:
        """The first 60 bits of the hash of a row, as an integer."""

    def quick(self) -> Dialect | None:
        """The same with the engine's own hash, where it has one to be trusted; else None.

        It costs a fraction of MD5, but no other engine has it and another version may have
        another: only for digests of two sides of one engine that are compared at once.
        """

    def bucket(self, values: Sequence[tuple[str, bool]]) -> str:
        """The range that a key belongs to: the first digits of its hash."""

    def equals(self, column: str, value: str) -> str:
        """Whether a column holds a value that is given as plain text."""


class DuckDB:
    """DuckDB, session time zone UTC."""

    def __init__(self, *, own_hash: bool = False) -> None:
        self._own_hash = own_hash

    def text(self, value: str, family: Family) -> str:
        moment = f"({value} AT TIME ZONE 'UTC')" if family == "tstz" else value
        return f"CAST({moment} AS VARCHAR)"

    def serial(self, values: Sequence[tuple[str, bool]]) -> str:
        parts = [
            f"strlen({text}), ':', {text}" if free else f"{text}, ';'" for text, free in values
        ]
        return f"concat({', '.join(parts)})"  # one call: a chain of || copies again and again

    def matches(self, text: str, pattern: str) -> str:
        return f"regexp_full_match({text}, {literal(pattern)})"

    def part(self, text: str, pattern: str, number: int) -> str:
        return f"regexp_extract({text}, {literal(f'^(?:{pattern})$')}, {number})"

    def number(self, text: str, scale: int) -> str:
        return f"CAST(TRY_CAST({text} AS DECIMAL(38, {scale})) AS VARCHAR)"

    def moment(self, text: str) -> str:
        return f"CAST(TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS VARCHAR)"

    def numeric(self, canonical: str, scale: int) -> str:
        return f"TRY_CAST({canonical} AS DECIMAL(38, {scale}))"

    def fixed(self, value: str, scale: int) -> str:
        return f"CAST({value} AS DECIMAL(38, {scale}))"

    def rounded(self, value: str, scale: int) -> str:
        small = f"CAST(CAST({value} AS DECIMAL(18, {scale})) AS VARCHAR)"
        great = f"CAST(CAST({value} AS DECIMAL(38, {scale})) AS VARCHAR)"
        return f"CASE WHEN abs({value}) < 1e{17 - scale} THEN {small} ELSE {great} END"

    def trim(self, text: str) -> str:
        blank = f"[{_BLANKS}]"
        ends = f"regexp_matches({text}, {literal(f'^{blank}|{blank}$')})"
        return f"CASE WHEN {ends} THEN trim({text}, {literal(_BLANKS)}) ELSE {text} END"

    def lower(self, text: str) -> str:
        return f"lower({text})"

    def digest(self, values: Sequence[tuple[str, bool]]) -> str:
        if self._own_hash:
            return f"CAST({self._hash(values)} >> 4 AS BIGINT)"
        return f"CAST('0x' || substr(md5({self.serial(values)}), 1, 15) AS BIGINT)"

    def bucket(self, values: Sequence[tuple[str, bool]]) -> str:
        if self._own_hash:
            return f"CAST({self._hash(values)} % {16**BUCKET_DIGITS} AS VARCHAR)"
        return f"substr(md5({self.serial(values)}), 1, {BUCKET_DIGITS})"

    def quick(self) -> Dialect:
        return DuckDB(own_hash=True)

    def _hash(self, values: Sequence[tuple[str, bool]]) -> str:
        """Of all values, and once more: the first only XORs columns together, so that sums of
        rows with swapped values could be equal."""
        return f"hash(hash({', '.join(text for text, _ in values)}))"

    def equals(self, column: str, value: str) -> str:
        return f"CAST({quoted(column)} AS VARCHAR) = {literal(value)}"


class PostgreSQL:
    """PostgreSQL, session time zone UTC, date style ISO."""

    def __init__(self, version: int, encoding: str = "UTF8", *, own_hash: bool = False) -> None:
        self._version, self._own_hash = version, own_hash
        self._collation = "pg_catalog.pg_c_utf8" if version >= 170000 else "und-x-icu"
        self._checks = version >= 160000
        self._utf8 = encoding == "UTF8"

    def text(self, value: str, family: Family) -> str:
        moment = f"({value} AT TIME ZONE 'UTC')" if family == "tstz" else value
        return f"CAST({moment} AS text)"

    def serial(self, values: Sequence[tuple[str, bool]]) -> str:
        size = "octet_length({})" if self._utf8 else "length(convert_to({}, 'UTF8'))"
        return " || ".join(
            f"coalesce({size.format(text)} || ':' || {text}, ':')"
            if free
            else f"coalesce({text}, '') || ';'"
            for text, free in values
        )

    def matches(self, text: str, pattern: str) -> str:
        return f"{text} ~ {literal(f'^(?:{pattern})$')}"

    def part(self, text: str, pattern: str, number: int) -> str:
        return f"(regexp_match({text}, {literal(f'^(?:{pattern})$')}))[{number}]"

    def number(self, text: str, scale: int) -> str:
        return f"CAST(round(CAST({text} AS numeric), {scale}) AS text)"

    def moment(self, text: str) -> str:
        read = f"CAST(CAST({text} AS timestamptz) AT TIME ZONE 'UTC' AS text)"
        if not self._checks:
            return read
        return f"CASE WHEN pg_input_is_valid({text}, 'timestamptz') THEN {read} END"

    def numeric(self, canonical: str, scale: int) -> str:
        return f"CASE WHEN left({canonical}, 1) <> '!' THEN CAST({canonical} AS numeric) END"

    def fixed(self, value: str, scale: int) -> str:
        return f"round({value}, {scale})"

    def rounded(self, value: str, scale: int) -> str:
        return f"CAST(round(CAST({value} AS numeric), {scale}) AS text)"

    def trim(self, text: str) -> str:
        trimmed = f"btrim({text}, {literal(_BLANKS)})"
        if not self._utf8:
            return trimmed
        codes = ", ".join(str(ord(each)) for each in _BLANKS)
        ends = f"ascii({text}) IN ({codes}) OR ascii(right({text}, 1)) IN ({codes})"
        return f"CASE WHEN {ends} THEN {trimmed} ELSE {text} END"

    def lower(self, text: str) -> str:
        parts = self._collation.split(".")
        return f"lower({text} COLLATE {'.'.join(quoted(each) for each in parts)})"

    def digest(self, values: Sequence[tuple[str, bool]]) -> str:
        if self._own_hash:
            return f"({self._hash(values)} >> 4)"
        hashed = self._md5(self.serial(values))
        return f"CAST(CAST('x' || substr({hashed}, 1, 15) AS bit(60)) AS bigint)"

    def bucket(self, values: Sequence[tuple[str, bool]]) -> str:
        if self._own_hash:
            return f"CAST({self._hash(values)} & {16**BUCKET_DIGITS - 1} AS text)"
        return f"substr({self._md5(self.serial(values))}, 1, {BUCKET_DIGITS})"

    def quick(self) -> Dialect | None:
        if self._version < 140000 or not self._utf8:
            return None
        return PostgreSQL(self._version, own_hash=True)

    def _hash(self, values: Sequence[tuple[str, bool]]) -> str:
        """Of all values, and once more: the first is linear in the columns, so that sums of rows
        with swapped values would be equal."""
        row = ", ".join(f'({text}) COLLATE "C"' for text, _ in values)
        return f"hashint8extended(hash_record_extended(ROW({row}), 0), 0)"

    def equals(self, column: str, value: str) -> str:
        return f"{quoted(column)} = {literal(value)}"

    def _md5(self, text: str) -> str:
        """Of the text in UTF-8, whatever the database keeps it in."""
        return f"md5({text})" if self._utf8 else f"md5(convert_to({text}, 'UTF8'))"
