"""Normalising whole columns at once: functions take text, one value a line, and give as many.

The text is tidied and folded before (:func:`column` does it).  Folding and each regular expression
run once over a column, not once a row: 2.6 to 4.6 times as fast (measured on a million values).
Where what must be looked at is the end or the beginning of a line, looking it up in a set is
cheaper than an expression with hundreds of alternatives.
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
    FREE_MAIL,
    HONORIFICS,
    LATIN_FORMS,
    LEGAL_FORMS,
    PLACES,
    STOP_WORDS,
    STREET_WORDS,
    UNIT_WORDS,
)

Lines = Callable[[str], str]

_PLACE = "|".join(sorted(PLACES, key=len, reverse=True))
_SEPARATORS = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_CONTROL = re.compile(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_COMBINING = re.compile(r"[\u0300-\u036f]+")
_NOT_LATIN = re.compile(r"[^a-z0-9\n]+")
_NOT_WORD = re.compile(r"[^\w\n]+|_")
_NOT_DIGIT = re.compile(r"[^0-9\n]+")
_ENDS = re.compile(r"^ +| +$", re.M)
_APOSTROPHE = re.compile(r"['’`´]")
_LATIN_FORM = re.compile(rf"(?: (?:{'|'.join(LATIN_FORMS)}))+$", re.M)
_CHINA = "(中国)"
_PLACE_IN_BRACKETS = re.compile(rf"(?<=.)\((?:{_PLACE})[市省]?\)")
_ANY_PLACE = re.compile(rf"^.*?({_PLACE}).*$|^.*$", re.M)
_BRANCH = re.compile(
    rf"^(.{{2,}}?)((?:(?:{_PLACE})[市省]?|.{{2}}[市区县]|(?<=公司).{{2,4}}?|.{{2}})?"
    rf"(?:第?[一二三四五六七八九十0-9]+)?(?:{'|'.join(BRANCH_WORDS)}))$",
    re.M,
)
_PLACE_SET = frozenset(PLACES)
_PLACE_SIZES = tuple(sorted({len(each) for each in PLACES}, reverse=True))
_PLACE_BEGINS = frozenset(each[:2] for each in PLACES)
_PLACE_LEAVES = 4
_FORMS = frozenset(LEGAL_FORMS)
_FORM_SIZES = tuple(sorted({len(each) for each in LEGAL_FORMS}, reverse=True))
_FORM_ENDS = frozenset(each[-2:] for each in LEGAL_FORMS)
_BRANCHES = frozenset(BRANCH_WORDS)
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
    return values_of(of(fold(tidied(joined(values)))))


def joined(values: Iterable[str | None]) -> str:
    """A column as one text."""
    return "\n".join([value.replace("\n", " ") if value else "" for value in values])


def tidied(text: str) -> str:
    """Blanks of all kinds to one space, none at the ends of a line."""
    text = _CONTROL.sub(" ", text)
    text = _SEPARATORS.sub(" ", text)
    return "\n".join([line.strip(" ") for line in text.split("\n")])


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
    made = []
    for line in text.replace(_CHINA, "").split("\n"):
        name = line if line.isalpha() else _NOT_WORD.sub("", _PLACE_IN_BRACKETS.sub("", line))
        if _is_branch(name):
            name = _BRANCH.sub(r"\1", name)
        made.append(_without_place(_without_form(name)))
    return "\n".join(made)


def branches(text: str) -> str:
    """The branch in a Chinese company's name: 华信科技上海分公司 -> 上海分公司."""
    made = []
    for line in text.replace(_CHINA, "").split("\n"):
        name = line if line.isalpha() else _NOT_WORD.sub("", line)
        made.append(_BRANCH.sub(r"\2", name) if _is_branch(name) else "")
    return "\n".join(made)


def _is_branch(name: str) -> bool:
    """Few names are of a branch, and to find where it begins is dear."""
    return name[-3:] in _BRANCHES or name[-2:] in _BRANCHES


def _without_form(name: str) -> str:
    if name[-2:] not in _FORM_ENDS:
        return name
    for size in _FORM_SIZES:
        if name[-size:] in _FORMS:
            part = name[-3:-2] in {"分", "子"} and name.endswith("公司")
            return name if part else name[:-size]
    return name


def _without_place(text: str) -> str:
    """Without the places it begins with; what remains has four characters or more."""
    if text[:2] not in _PLACE_BEGINS:
        return text
    at = cut = 0
    last = len(text) - _PLACE_LEAVES
    while at <= last:
        size = next((each for each in _PLACE_SIZES if text[at : at + each] in _PLACE_SET), 0)
        if not size:
            break
        for end in (at + size, at + size + 1):
            if end <= last and (end == at + size or text[at + size] in "市省"):
                cut = end
        at = max(cut, at + size)
    return text[cut:]


def groups(text: str) -> str:
    """集团 where the name says that it is the group, else nothing."""
    return "\n".join(["集团" if "集团" in line else "" for line in text.split("\n")])


def places(text: str) -> str:
    """The first city or province that a Chinese text names."""
    return _ANY_PLACE.sub(r"\1", text)


def people(text: str) -> str:
    """Chinese names without blanks and forms of address: 張 偉強 -> 张伟强, 张先生 -> 张."""
    text = _NOT_WORD.sub("", text)
    return _HONORIFIC_AFTER_NAME.sub("", _HONORIFIC.sub("", text))


def mobiles(text: str) -> str:
    """Mainland mobile numbers as 11 digits; anything else becomes an empty line."""
    return _NO_MOBILE.sub("", _MOBILE.sub(r"\1", _NOT_DIGIT.sub("", text)))


def phones(text: str) -> str:
    """Telephone numbers as national digits, no trunk zero, no extension; else an empty line."""
    digits = _NOT_DIGIT.sub("", _EXTENSION.sub("", text))
    return _NO_NUMBER.sub("", _TRUNK.sub("", digits))


def mail_hosts(text: str) -> str:
    """The host of e-mail addresses, where it says something about the company."""
    hosts = [line.partition("@")[2] for line in text.split("\n")]
    return "\n".join(["" if each in FREE_MAIL else each for each in hosts])


def all_but_last(text: str) -> str:
    """Names without their last word."""
    return "\n".join([line.rpartition(" ")[0] for line in text.split("\n")])


def last_words(text: str) -> str:
    """The last word of names."""
    return "\n".join([line.rpartition(" ")[2] for line in text.split("\n")])


def words(text: str) -> str:
    """The words of names in order of the alphabet, small ones left out."""
    return "\n".join(
        [" ".join(sorted(set(line.split()) - STOP_WORDS)) for line in text.split("\n")]
    )


def emails(text: str) -> str:
    """E-mail addresses in lower case without ``+tag``; what is none becomes an empty line."""
    return _NOT_EMAIL.sub("", _TAG.sub("", text.replace("mailto:", "")))


def hosts(text: str) -> str:
    """The host of web addresses, without www."""
    return _NO_HOST.sub("", _HOST.sub(r"\1", text))


def dates(text: str) -> str:
    """Dates as YYYYMMDD.  Of 03/04/1990 the first is taken for the day."""
    text = _YMD.sub(r"\1 0\2 0\3", text)
    text = _DMY.sub(r"\3 0\2 0\1", text)
    return _NOT_DATE.sub("", _PADDED.sub("", text))


def numbers(text: str) -> str:
    """Numbers of people and companies: letters and digits only."""
    return re.sub(r"^(.)\1*$", "", _NOT_WORD.sub("", text), flags=re.M)


def chinese_addresses(text: str) -> str:
    """Chinese addresses without blanks and signs, and without the first place named."""
    return "\n".join(map(_without_place, _NOT_WORD.sub("", text).split("\n")))


def chinese_houses(text: str) -> str:
    """The first number of Chinese addresses."""
    return _ZH_NUMBER.sub(r"\1", text)


_COMMA_FIRST = re.compile(r"^([^,\n]+),(.+)$", re.M)


def whole_names(text: str) -> str:
    """Latin names with the surname last: ``Müller, Anna`` -> anna muller."""
    return latin(_COMMA_FIRST.sub(r"\2 \1", text))


def postcodes(text: str) -> str:
    """Postcodes without blanks; of a US ZIP+4 the first five digits."""
    return re.sub(r"^(\d{5})\d{4}$", r"\1", _NOT_WORD.sub("", text), flags=re.M)
