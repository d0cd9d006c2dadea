"""What well-formed values look like, by country; patterns that every database engine reads alike.

A pattern must match the whole value, has no anchors and uses only what POSIX, PCRE, Java and
Python regular expressions share: literals, ``[...]`` of ASCII, ``(...)``, ``|``, ``* + ? {m,n}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Country = Literal["CN", "US"]
COUNTRIES: Final[tuple[Country, ...]] = ("CN", "US")

USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""The 31 characters of a unified social credit code (GB 32100-2015); a value is an index."""

USCC_WEIGHTS: Final = tuple(pow(3, power, 31) for power in range(17))
"""3^i mod 31.  With the check character of weight 1 the weighted sum is 0 mod 31."""

_USCC = "[0-9A-HJ-NPQRTUWXY]"
_ATOM = "[A-Za-z0-9!#$&'*+/=?^_{|}~-]+"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"{_LABEL}([.]{_LABEL})+"

_CN_MOBILE = "1[3-9][0-9]{9}"
_CN_LANDLINE = "0[0-9]{2,3}-?[0-9]{7,8}(-[0-9]{1,6})?"
_CN_SERVICE = "[48]00-?[0-9]{3}-?[0-9]{4}|95[0-9]{3,4}"
_US_PHONE = (
    "([+]?1[-. ]?)?([(]?[2-9][0-9]{2}[)]?[-. ]?)?[2-9][0-9]{2}[-. ]?[0-9]{4}"
    "( ?(x|ext[.]?) ?[0-9]{1,6})?"
)

FORMATS: Final[Mapping[str, Mapping[Country, str]]] = {
    "email": dict.fromkeys(COUNTRIES, rf"{_ATOM}([.]{_ATOM})*@{_HOST}"),
    "url": dict.fromkeys(COUNTRIES, rf"(https?://)?{_HOST}(:[0-9]{{1,5}})?([/?#][!-~]*)?"),
    "mobile": {"CN": _CN_MOBILE, "US": _US_PHONE},
    "phone": {"CN": f"{_CN_MOBILE}|{_CN_LANDLINE}|{_CN_SERVICE}", "US": _US_PHONE},
    "postcode": {"CN": "[0-9]{6}", "US": "[0-9]{5}(-[0-9]{4})?"},
    "currency": dict.fromkeys(COUNTRIES, "[A-Z]{3}"),
}
"""Named formats.  CN mobile: 11 digits and nothing else; US: NANP with 7 or 10 digits."""

CHECK_DIGITS: Final[Mapping[str, str]] = {
    "uscc": f"{_USCC}{{2}}[0-9]{{6}}{_USCC}{{10}}",
    "resident_id": (
        "[1-9][0-9]{5}(18|19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9X]"
    ),
}
"""Codes with a check character: the pattern that comes before the sum."""

CHECK_SUMS: Final[Mapping[str, tuple[str, tuple[int, ...], int, int]]] = {
    "uscc": (USCC_ALPHABET, (*USCC_WEIGHTS, 1), 31, 0),
    "resident_id": ("0123456789X", tuple(pow(2, 17 - at, 11) for at in range(18)), 11, 1),
}
"""Alphabet, weights, modulus and remainder: a character's value is its index in the alphabet, and
the weighted sum leaves the remainder.  Credit codes: GB 32100-2015.  Resident ids: GB 11643-1999,
that is ISO 7064 MOD 11-2, weights 2^(17 - i) mod 11."""

TELLING: Final = ("mobile", "phone", "postcode")
"""Formats whose values tell which country a table is about (``country: auto``)."""
