"""Normalising whole columns at once: functions take text, one value a line, and give as many.

Unicode folding, traditional to simplified and each regular expression run once over a column, not
once a row: 2.6 to 4.6 times as fast (measured on a million values).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from dq_checks.duplicates.words import (
    BRANCH_WORDS,
    DIRECTIONS,
    HONORIFICS,
    LATIN_FORMS,
    LEGAL_FORMS,
    PLACES,
    STREET_WORDS,
    UNIT_WORDS,
)

Lines = Callable[[str], str]

_PLACE = "|".join(sorted(PLACES, key=len, reverse=True))
_SEPARATORS = re.compile(r"[^\S\n]+")
_CONTROL = re.compile(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_COMBINING = re.compile(r"[\u0300-\u036f]+")
_NOT_LATIN = re.compile(r"[^a-z0-9\n]+")
_NOT_WORD = re.compile(r"[^\w\n]+|_")
_NOT_DIGIT = re.compile(r"[^0-9\n]+")
_ENDS = re.compile(r"^ +| +$", re.M)
_APOSTROPHE = re.compile(r"['’`´]")
_LATIN_FORM = re.compile(rf"(?: (?:{'|'.join(LATIN_FORMS)}))+$", re.M)
_CHINA = re.compile(r"\(中国\)")
_PLACE_IN_BRACKETS = re.compile(rf"(?<=.)\((?:{_PLACE})[市省]?\)")
_PLACE_FIRST = re.compile(rf"^(?:(?:{_PLACE})[市省]?)+(?=.{{4}})", re.M)
_ANY_PLACE = re.compile(rf"^.*?({_PLACE}).*$|^.*$", re.M)
_BRANCH = re.compile(
    rf"^(.{{2,}}?)((?:(?:{_PLACE})[市省]?|.{{2}}[市区县]|(?<=公司).{{2,4}}?|.{{2}})?"
    rf"(?:第?[一二三四五六七八九十0-9]+)?(?:{'|'.join(BRANCH_WORDS)}))$",
    re.M,
)
_LEGAL_FORM = re.compile(rf"(?:{'|'.join(LEGAL_FORMS)})$", re.M)
_FULL_WIDTH = re.compile(r"[\uff01-\uff5e]")
_HONORIFIC = re.compile(rf"(?<=^[^\na-z])(?:{'|'.join(HONORIFICS)})$", re.M)
_HONORIFIC_AFTER_NAME = re.compile(rf"(?<=[^\na-z]{{2}})(?:{'|'.join(HONORIFICS[:4])})$", re.M)
_MOBILE = re.compile(r"^(?:00)?(?:86)?0?(1[3-9][0-9]{9})$", re.M)
_NO_MOBILE = re.compile(r"^(?!1[3-9][0-9]{9}$).+$", re.M)
_EXTENSION = re.compile(
    r"(?:转|分机|extension|ext|[x#]).*$|(?<=\d{7})[-/ ]+\d{1,5}$|[,;/、].*$", re.M
)
_TRUNK = re.compile(r"^(?:00)?(?:86(?=\d{9,11}$)|1(?=\d{10}$))?0*", re.M)
_NO_NUMBER = re.compile(r"^(?:\d{1,5}|(\d)\1+|\d{16,})$", re.M)
_NOT_EMAIL = re.compile(r"^(?![^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+$).+$", re.M)
_TAG = re.compile(r"\+[^@\n]*(?=@)")
_HOST = re.compile(r"^(?:[a-z]+://)?(?:www\d?\.)?([^/:?#\s]+).*$", re.M)
_NO_HOST = re.compile(r"^(?![^.\s]+(?:\.[^.\s]+)+$).+$", re.M)
_YMD = re.compile(r"^(\d{4})[-/.年 ](\d{1,2})[-/.月 ](\d{1,2})(?!\d).*$", re.M)
_DMY = re.compile(r"^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})(?!\d).*$", re.M)
_PADDED = re.compile(r"(?<= )0(?=\d\d(?: |$))|(?<=\d) ", re.M)
_NOT_DATE = re.compile(r"^(?!\d{8}$).+$", re.M)
_HOUSE = re.compile(r"^[^\d\n]{0,3}?(\d+)[a-z]?(?: .*)?$|^.*$", re.M)
_HOUSE_AND_REST = re.compile(r"^(?:\d+[a-z]?(?: \d+)? )?", re.M)
_UNIT = re.compile(rf"(?<=\S) (?:{'|'.join(UNIT_WORDS)})(?: .*)?$", re.M)
_ZH_NUMBER = re.compile(r"^.*?(\d+)(?:号|弄|栋|幢)?.*$|^.*$", re.M)


def column(values: Iterable[str | None], of: Lines) -> list[str | None]:
    """Apply a function on lines to a column.  Missing and emptied values come back as None."""
    return values_of(of(tidied(joined(values))))


def joined(values: Iterable[str | None]) -> str:
    """A column as one text."""
    return "\n".join([value.replace("\n", " ") if value else "" for value in values])


def tidied(text: str) -> str:
    """Blanks of all kinds to one space, none at the ends of a line."""
    text = _CONTROL.sub(" ", text)
    if "  " in text or "\t" in text:
        text = _SEPARATORS.sub(" ", text)
    return _ENDS.sub("", text)


def values_of(text: str) -> list[str | None]:
    """A text as a column."""
    return [line or None for line in text.split("\n")]


@cache
def _simplifier() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


def fold(text: str) -> str:
    """NFKC (full-width to half-width, ligatures), lower case, traditional to simplified.

    Python's NFKC walks the whole text for one full-width letter, so these go first by themselves.
    """
    if text.isascii():
        return text.lower()
    text = _FULL_WIDTH.sub(lambda match: chr(ord(match[0]) - 0xFEE0), text)
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    folded: str = _simplifier().convert(text.lower())
    return folded


def latin(text: str) -> str:
    """Lower case without accents; letters and digits, everything else one space."""
    text = _APOSTROPHE.sub("", text)
    if not text.isascii():
        text = _COMBINING.sub("", unicodedata.normalize("NFKD", text)).casefold()
        return _ENDS.sub("", _NOT_WORD.sub(" ", text))
    return _ENDS.sub("", _NOT_LATIN.sub(" ", text.lower()))


def latin_companies(text: str) -> str:
    """Company names without the legal form: ``Müller & Söhne, Co. Ltd.`` -> muller and sohne."""
    return _LATIN_FORM.sub("", latin(text.replace("&", " and ")))


def _replaced(text: str, words: dict[str, str]) -> str:
    found = text.replace("\n", " \n ").split(" ")
    return " ".join([words.get(word, word) for word in found]).replace(" \n ", "\n")


def addresses(text: str) -> str:
    """Addresses in short forms, without flats: ``34 E. 115th Street`` -> 34 e 115th st."""
    return _UNIT.sub("", _replaced(latin(text), {**STREET_WORDS, **DIRECTIONS}))


def houses(text: str) -> str:
    """The house number of addresses made by :func:`addresses`; of 9208 9214 the first."""
    return _HOUSE.sub(r"\1", text)


_STREET_ENDING = re.compile(rf"(?<=\S)(?: (?:{'|'.join(set(STREET_WORDS.values()))}))+$", re.M)
_WAY = re.compile(r"^([nsew])(?: .*)?$|^.*$", re.M)
_WAY_FIRST = re.compile(r"^[nsew] (?=\S)", re.M)


def ways(text: str) -> str:
    """The direction before a street: n, s, e, w."""
    return _WAY.sub(r"\1", _HOUSE_AND_REST.sub("", text))


def streets(text: str) -> str:
    """The street alone, of addresses made by :func:`addresses`: ``34 e 115th st`` -> 115th."""
    return _STREET_ENDING.sub("", _WAY_FIRST.sub("", _HOUSE_AND_REST.sub("", text)))


def companies(text: str) -> str:
    """The distinguishing part of Chinese company names: 北京市华信科技有限公司 -> 华信科技.

    Place, legal form and branch are cut off; :func:`places`, :func:`branches` and :func:`groups`
    keep them.  A place goes only if four characters remain: 上海银行 keeps its.
    """
    text = _NOT_WORD.sub("", _PLACE_IN_BRACKETS.sub("", _CHINA.sub("", fold(text))))
    text = _each_line(text, lambda line: _BRANCH.sub(r"\1", line), lambda line: line)
    return _PLACE_FIRST.sub("", _LEGAL_FORM.sub("", text))


def branches(text: str) -> str:
    """The branch in a Chinese company's name: 华信科技上海分公司 -> 上海分公司."""
    text = _NOT_WORD.sub("", _CHINA.sub("", fold(text)))
    return _each_line(text, lambda line: _BRANCH.sub(r"\2", line), lambda _: "")


def _each_line(text: str, of_branch: Lines, otherwise: Lines) -> str:
    """Few lines name a branch, and to find where it begins is dear."""
    return "\n".join(
        [
            of_branch(line) if line.endswith(BRANCH_WORDS) else otherwise(line)
            for line in text.split("\n")
        ]
    )


def groups(text: str) -> str:
    """集团 where the name says that it is the group, else nothing."""
    return "\n".join(["集团" if "集团" in line else "" for line in fold(text).split("\n")])


def places(text: str) -> str:
    """The first city or province that a Chinese text names."""
    return _ANY_PLACE.sub(r"\1", fold(text))


def people(text: str) -> str:
    """Chinese names without blanks and forms of address: 張 偉強 -> 张伟强, 张先生 -> 张."""
    text = _NOT_WORD.sub("", fold(text))
    return _HONORIFIC_AFTER_NAME.sub("", _HONORIFIC.sub("", text))


def mobiles(text: str) -> str:
    """Mainland mobile numbers as 11 digits; anything else becomes an empty line."""
    return _NO_MOBILE.sub("", _MOBILE.sub(r"\1", _NOT_DIGIT.sub("", fold(text))))


def phones(text: str) -> str:
    """Telephone numbers as national digits, no trunk zero, no extension; else an empty line."""
    digits = _NOT_DIGIT.sub("", _EXTENSION.sub("", fold(text)))
    return _NO_NUMBER.sub("", _TRUNK.sub("", digits))


def emails(text: str) -> str:
    """E-mail addresses in lower case without ``+tag``; what is none becomes an empty line."""
    return _NOT_EMAIL.sub("", _TAG.sub("", fold(text).replace("mailto:", "")))


def hosts(text: str) -> str:
    """The host of web addresses, without www."""
    return _NO_HOST.sub("", _HOST.sub(r"\1", fold(text)))


def dates(text: str) -> str:
    """Dates as YYYYMMDD.  Of 03/04/1990 the first is taken for the day."""
    text = _YMD.sub(r"\1 0\2 0\3", fold(text))
    text = _DMY.sub(r"\3 0\2 0\1", text)
    return _NOT_DATE.sub("", _PADDED.sub("", text))


def numbers(text: str) -> str:
    """Numbers of people and companies: letters and digits only."""
    return re.sub(r"^(.)\1*$", "", _NOT_WORD.sub("", fold(text)), flags=re.M)


def chinese_addresses(text: str) -> str:
    """Chinese addresses without blanks and signs, and without the first place named."""
    return _PLACE_FIRST.sub("", _NOT_WORD.sub("", fold(text)))


def chinese_houses(text: str) -> str:
    """The first number of Chinese addresses."""
    return _ZH_NUMBER.sub(r"\1", text)


_COMMA_FIRST = re.compile(r"^([^,\n]+),(.+)$", re.M)


def whole_names(text: str) -> str:
    """Latin names with the surname last: ``Müller, Anna`` -> anna muller."""
    return latin(_COMMA_FIRST.sub(r"\2 \1", text))


def postcodes(text: str) -> str:
    """Postcodes without blanks; of a US ZIP+4 the first five digits."""
    return re.sub(r"^(\d{5})\d{4}$", r"\1", _NOT_WORD.sub("", fold(text)), flags=re.M)
