"""Columns as Arrow arrays: what is simple goes its own way, the rest is normalised once a value.

Most cells of a CRM are written well, and names, companies and cities come again and again.  So a
mobile of eleven digits is left alone, and everything else is looked at once for each different
value.  Neither changes what comes out: :mod:`dq_checks.duplicates.lines` says what that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from dq_checks.duplicates import lines
from dq_checks.duplicates.lines import Lines

Array = Any
"""An Arrow array of texts; missing is null."""

_ODD = r"[\pZ\pC]{2}|[^\PZ ]|\pC|^ | $"
_MOBILE = r"^1[3-9][0-9]{9}$"
_LANDLINE = r"^0(?:10|[2-9][0-9]{1,2})-?[1-9][0-9]{6,7}$"
_MAIL = r"^[a-z0-9][a-z0-9._-]*@[a-z0-9_-]+(?:\.[a-z0-9_-]+)+$"
_ONE_DIGIT = "^(?:" + "|".join(f"{digit}+" for digit in "123456789") + ")$"


class Column:
    """A column as written, and what is made of it."""

    def __init__(self, values: Array) -> None:
        self._values = values
        self._encoded: Array = None
        self._text = ""

    def get(self, of: Lines) -> Array:
        """The column, normalised."""
        ways = _WAYS.get(of)
        return self._distinct(of) if ways is None else self._by_ways(of, ways)

    def some(self, where: Array, of: Lines) -> Array:
        """The column, normalised where ``where`` holds and missing elsewhere."""
        import pyarrow as pa
        import pyarrow.compute as pc

        nothing = pa.nulls(len(where), pa.string())
        return pc.replace_with_mask(nothing, where, Column(self._values.filter(where)).get(of))

    def _distinct(self, of: Lines) -> Array:
        import pyarrow as pa

        if self._encoded is None:
            self._encoded = self._values.dictionary_encode()
            self._text = lines.fold(_tidied(self._encoded.dictionary))
        if not len(self._encoded.dictionary):
            return pa.nulls(len(self._values), pa.string())
        made = pa.array(lines.values_of(of(self._text)), pa.string())
        return made.take(self._encoded.indices)

    def _by_ways(self, of: Lines, ways: Mapping[str, Callable[[Array], Array]]) -> Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        made = pa.nulls(len(self._values), pa.string())
        left = pc.fill_null(pc.not_equal(self._values, ""), False)
        for pattern, way in ways.items():
            simple = pc.and_(left, pc.match_substring_regex(self._values, pattern))
            made = pc.if_else(simple, way(self._values), made)
            left = pc.and_not(left, simple)
        if pc.any(left).as_py():
            made = pc.replace_with_mask(made, left, Column(self._values.filter(left))._distinct(of))
        return made


def _tidied(values: Array) -> str:
    """Different values, one a line; few of them have blanks that must be tidied."""
    import pyarrow.compute as pc

    odd = pc.match_substring_regex(values, _ODD)
    if pc.any(odd).as_py():
        tidy = lines.tidied(lines.joined(values.filter(odd).to_pylist()))
        values = pc.replace_with_mask(values, odd, texts(tidy.split("\n")))
    return "\n".join(values.to_pylist())


def _as_written(values: Array) -> Array:
    return values


def _nothing(_: Array) -> Array:
    return no_text()


def _national(values: Array) -> Array:
    """Landlines without the trunk zero and the hyphen; one digit over and over is no number."""
    import pyarrow.compute as pc

    digits = pc.replace_substring(pc.utf8_slice_codeunits(values, 1), "-", "")
    return pc.if_else(pc.match_substring_regex(digits, _ONE_DIGIT), no_text(), digits)


_WAYS: Mapping[Lines, Mapping[str, Callable[[Array], Array]]] = {
    lines.mobiles: {_MOBILE: _as_written, _LANDLINE: _nothing},
    lines.phones: {_LANDLINE: _national},
    lines.emails: {_MAIL: _as_written},
}
"""What need not be looked at by an expression of Python, and what is to be done with it."""


def texts(values: Any) -> Array:
    """A list of texts as a column."""
    import pyarrow as pa

    return pa.array(values, pa.string())


@cache
def no_text() -> Array:
    """A missing text."""
    import pyarrow as pa

    return pa.scalar(None, pa.string())


def first_of(*columns: Array) -> Array:
    """Row by row the first value that is there."""
    import pyarrow.compute as pc

    return pc.coalesce(*columns)


def side_by_side(left: Array, right: Array, between: str) -> Array:
    """Two columns as one text, with what is there."""
    import pyarrow.compute as pc

    left, right = left.fill_null(""), right.fill_null("")  # null_handling="skip" loses rows
    made = pc.utf8_trim(pc.binary_join_element_wise(left, right, between), " ")
    return pc.if_else(pc.equal(made, ""), no_text(), made)


def unless_same(values: Array, others: Array) -> Array:
    """The values, without those that the other column has too."""
    import pyarrow.compute as pc

    return pc.if_else(pc.fill_null(pc.equal(values, others), False), no_text(), values)


def trimmed(values: Array) -> Array:
    """Values without the blanks around them."""
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(values)
