"""Identifiers that are unique by construction, so that millions need no set of the used ones.

Every function maps a running number to an identifier one to one.  A mobile number carries a hidden
check sum in its last digit: a copy with one digit off can then never be another person's number,
which is what keeps the planted duplicates the only ones.
"""

from __future__ import annotations

from math import gcd

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""The 31 characters of GB 32100-2015; I, O, S, V and Z are left out there."""

_USCC_WEIGHTS = tuple(pow(3, power, 31) for power in range(17))
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_VALUE = {char: value for value, char in enumerate(USCC_ALPHABET)}
_MOBILE_STARTS = (
    "130", "131", "132", "133", "134", "135", "136", "137", "138", "139", "150", "151", "152",
    "153", "155", "156", "157", "158", "159", "166", "170", "175", "176", "177", "178", "180",
    "181", "182", "183", "185", "186", "187", "188", "189", "198", "199",
)  # fmt: skip
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_SCATTER = 2_654_435_761
MOBILES = len(_MOBILE_STARTS) * 10**7
ORGANISATIONS = 31**6


def scatter(number: int, size: int, salt: int) -> int:
    """One-to-one shuffle of 0..size-1 by an affine step, so that neighbours look unrelated."""
    step = _SCATTER
    while gcd(step, size) != 1:
        step += 2
    return (number * step + salt) % size


def uscc_check(body: str) -> str:
    """Check character of the first 17 of a unified social credit code (GB 32100-2015)."""
    total = sum(_VALUE[char] * weight for char, weight in zip(body, _USCC_WEIGHTS, strict=True))
    return USCC_ALPHABET[-total % 31]


def organisation_check(body: str) -> str:
    """Check character of the eight of an organisation code (GB 11714), the inner part of a USCC."""
    values = (int(char, 36) for char in body)
    total = sum(value * weight for value, weight in zip(values, _ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X"[-total % 11]


def uscc(number: int, place: str, salt: int) -> str:
    """A valid 18-character code for company ``number`` registered at administrative code ``place``.

    Both check characters hold.  Unique for numbers below :data:`ORGANISATIONS`.
    """
    rest, digits = scatter(number, ORGANISATIONS, salt), ""
    for _ in range(6):
        rest, digit = divmod(rest, 31)
        digits += USCC_ALPHABET[digit]
    organisation = "MA" + digits
    body = "91" + place + organisation + organisation_check(organisation)
    return body + uscc_check(body)


def wrong_uscc(code: str) -> str:
    """The same code with the next check character: right in shape, wrong in sum."""
    return code[:-1] + USCC_ALPHABET[(_VALUE[code[-1]] + 1) % 31]


def mobile(number: int, salt: int) -> str:
    """An 11-digit mainland mobile number; unique for numbers below :data:`MOBILES`."""
    start, rest = divmod(scatter(number, MOBILES, salt), 10**7)
    body = f"{_MOBILE_STARTS[start]}{rest:07d}"
    return body + str(-sum(map(int, body)) % 10)


def mistyped_mobile(number: str) -> str:
    """The number with one digit off; its hidden check sum no longer holds, so it is nobody's.

    Which digit depends only on the first three, which stay: two numbers never meet.
    """
    at = 4 + int(number[:3]) % 7
    return number[:at] + str((int(number[at]) + 5) % 10) + number[at + 1 :]


def base36(number: int) -> str:
    """The number in 36 lower-case characters: the part that keeps e-mail addresses apart."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
        if not number:
            return digits
