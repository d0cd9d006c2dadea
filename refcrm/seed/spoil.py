"""Ways in which people write the same thing differently, or write it wrongly.

The malformed forms of one kind never meet one another: each is one to one in its length or its
marked character, so spoiling makes no accidental duplicates.
"""

from __future__ import annotations

import random

from refcrm.seed import words
from refcrm.seed.world import NULL


def blank(rng: random.Random) -> str:
    """Nothing, in one of its two spellings: null or an empty text."""
    return NULL if rng.random() < 0.5 else ""


def malformed_email(email: str, rng: random.Random) -> str:
    """An address that no mail server would take."""
    local, _, host = email.partition("@")
    forms = (local + "." + host, local + "@@" + host, local + "@" + host.partition(".")[0],
             local.replace(".", " ", 1) + "@" + host)  # fmt: skip
    return forms[int(rng.random() * 4)]


def malformed_mobile(mobile: str, rng: random.Random) -> str:
    """A number that cannot be dialled: too short, too long, wrong start, a letter O for a zero."""
    forms = (mobile[1:], mobile + "0", "2" + mobile[1:], mobile[:-1] + "O")
    return forms[int(rng.random() * 4)]


def malformed_postcode(postcode: str, rng: random.Random) -> str:
    """A postcode a digit short, a digit long, or with a letter."""
    return (postcode[:-1], postcode + "0", postcode[:-1] + "O")[int(rng.random() * 3)]


# Longest first. 集团 stays: a group is not its like-named company.
_DROPPED_FORMS = ("股份有限公司", "有限责任公司", "有限公司")


def is_chinese(text: str) -> bool:
    """Whether the text has any Chinese character."""
    return any("\u4e00" <= char <= "\u9fff" for char in text)


def rewritten_mobile(mobile: str, rng: random.Random) -> str:
    """The same number as people write it: country code, spaces, full-width digits."""
    spaced = f"{mobile[:3]} {mobile[3:7]} {mobile[7:]}"
    forms = ("+86" + mobile, "+86 " + spaced, "86-" + mobile, spaced,
             mobile.translate(words.FULL_WIDTH))  # fmt: skip
    return forms[int(rng.random() * 5)]


def mistyped_email(email: str) -> str:
    """A letter doubled; the serial part after it keeps the address nobody else's."""
    return email[0] + email


def other_person(name: str, rng: random.Random) -> str:
    """The same person's name written otherwise; never equal to the name given."""
    if not is_chinese(name):
        first, _, last = name.partition(" ")
        forms = (
            f"{last}, {first}",
            f"{first[0]}. {last}",
            name.upper(),
            f"{first} {last}{last[-1]}",
        )
        return forms[int(rng.random() * 4)]
    forms = (
        name.translate(words.TRADITIONAL),
        name[:-1] + name[-1].translate(words.HOMOPHONES),
        " ".join(name),
        name[0] + ("先生" if rng.random() < 0.6 else "女士"),
    )
    chosen = forms[int(rng.random() * 4)]
    return chosen if chosen != name else name[0] + "\u3000" + name[1:]


def other_company(name: str, city: str, rng: random.Random) -> str:
    """The same company's name written otherwise; never equal to the name given."""
    chosen = (_other_chinese if is_chinese(name) else _other_english)(name, city, rng)
    return chosen if chosen != name else name + " "


def _other_chinese(name: str, city: str, rng: random.Random) -> str:
    form = next((form for form in _DROPPED_FORMS if name.endswith(form)), "")
    core = name.removesuffix(form).removeprefix(city)
    # 公司 alone says less than any legal form, so it never says a wrong one.
    forms = (
        core + "公司",
        core,
        f"{city}市{core}{form}",
        f"{city}{core}(中国){form}",
        f"{city}{core}（中国）{form}",
        name.translate(words.TRADITIONAL),
        city + core[:3].translate(words.BRAND_SLIPS) + core[3:] + form,
        city + core + ("有限责任公司" if form == "有限公司" else "有限公司"),
    )
    return forms[int(rng.random() * 8)]


def _other_english(name: str, city: str, rng: random.Random) -> str:
    core = next((name.removesuffix(" " + f) for f in words.ENGLISH_FORMS if name.endswith(f)), name)
    forms = (
        core,
        core + ("" if name.endswith("Ltd.") else " Limited"),
        name.upper(),
        core[:2] + core[1:] + name[len(core):],
        f"{core} (China) Co Ltd",
    )  # fmt: skip
    return forms[int(rng.random() * 5)]
