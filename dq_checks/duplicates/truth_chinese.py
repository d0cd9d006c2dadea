"""Chinese contacts and companies, copies of them spoilt, and others that only look the same."""

from __future__ import annotations

import random
from collections.abc import Iterator

from dq_checks.duplicates import truth_words as words

Row = dict[str, str]
_COPIED, _LOOKALIKE = 0.16, 0.10


def _company(rng: random.Random) -> dict[str, str]:
    city = rng.choice(list(words.CITIES))
    core = "".join(rng.choices(words.CORES, k=rng.choice((2, 2, 2, 3))))
    return {
        "city": city,
        "core": core,
        "industry": rng.choice(words.INDUSTRIES),
        "form": rng.choices(words.FORMS, (8, 1, 1))[0],
        "phone": f"0{words.CITIES[city]}-{rng.randint(20000000, 89999999)}",
        "host": f"www.{''.join(rng.choices('abcdefghijklmnopqrstuvwxyz', k=6))}.com.cn",
        "address": _address(rng),
        "uscc": f"91{rng.randrange(10**11, 10**12)}MA{rng.randint(10, 99)}{rng.choice('ABCDEFG')}",
    }


def _address(rng: random.Random) -> str:
    road = rng.choice(words.ROADS) + rng.choice(words.ROAD_KINDS)
    return f"{road}{rng.randint(1, 999)}号{rng.randint(1, 30)}层"


def _full(company: dict[str, str]) -> str:
    return company["city"] + company["core"] + company["industry"] + company["form"]


def _person(rng: random.Random, surname: str = "") -> str:
    surname = surname or rng.choices(words.SURNAMES, words.SURNAME_WEIGHTS)[0]
    chance = rng.random()
    if chance < 0.12:
        return surname + rng.choice(words.COMMON_GIVEN)
    return surname + "".join(rng.choices(words.GIVEN, k=1 if chance < 0.3 else 2))


def _mobile(rng: random.Random) -> str:
    return (
        rng.choice(("138", "139", "186", "177", "150", "158", "199"))
        + f"{rng.randrange(10**8):08d}"
    )


def _slip(rng: random.Random, text: str, letters: str) -> str:
    at = rng.randrange(len(text))
    return text[:at] + rng.choice(letters) + text[at + 1 :]


def _name_variant(rng: random.Random, company: dict[str, str]) -> str:
    stem = company["core"] + company["industry"]
    full = _full(company)
    made = rng.choice(
        (
            stem + "公司",
            f"{company['city']}市{stem}{company['form']}",
            stem,
            f"{stem}({company['city']}){company['form']}",
            f"{stem}（{company['city']}）{company['form']}",
            full.translate(words.TRADITIONAL),
            f"{company['city']}{stem}{rng.choice(words.FORMS)}",
            f" {full} ",
            full,
            full,
        )
    )
    return _slip(rng, made, "".join(words.CORES)) if rng.random() < 0.08 else made


def _phone_variant(rng: random.Random, phone: str) -> str:
    chance = rng.random()
    if chance < 0.25:
        return ""
    area, _, number = phone.partition("-")
    wide = phone.translate(words.FULL_WIDTH)
    extended = f"{phone}转{rng.randint(100, 999)}"
    return rng.choice(
        (phone, phone, f"+86 {area[1:]}{number}", f"({area}){number}", number, extended, wide)
    )


def _mobile_variant(rng: random.Random, mobile: str) -> str:
    chance = rng.random()
    if chance < 0.18:
        return ""
    if chance < 0.24:
        return _mobile(rng)
    if chance < 0.32:
        return mobile[:3] + _slip(rng, mobile[3:], "0123456789")
    spaced = f"{mobile[:3]} {mobile[3:7]} {mobile[7:]}"
    return rng.choice(
        (
            mobile,
            mobile,
            f"+86 {mobile}",
            f"86-{mobile}",
            spaced,
            mobile.translate(words.FULL_WIDTH),
        )
    )


def _email_variant(rng: random.Random, email: str) -> str:
    chance = rng.random()
    if chance < 0.28 or not email:
        return ""
    if chance < 0.34:
        return f"{rng.randrange(10**8, 10**10)}@qq.com"
    if chance < 0.42:
        name, _, host = email.partition("@")
        return f"{_slip(rng, name, 'abcdefghijkmnoprst')}@{host}"
    return email.upper() if chance < 0.55 else email


def _person_variant(rng: random.Random, person: str) -> str:
    chance = rng.random()
    if chance < 0.07:
        return person[0] + rng.choice(("先生", "女士", "总", "经理"))
    if chance < 0.11 and len(person) > 2:
        return person[:-1] + rng.choice(words.GIVEN)
    if chance < 0.15:
        return f"{person[0]} {person[1:]}"
    return person.translate(words.TRADITIONAL) if chance < 0.27 else person


def _contact(rng: random.Random, company: dict[str, str], person: str) -> Row:
    host = company["host"].removeprefix("www.")
    local = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(4, 8)))
    return {
        "姓名": person,
        "公司": _full(company),
        "手机": _mobile(rng),
        "电话": company["phone"] if rng.random() < 0.5 else "",
        "邮箱": f"{local}@{host}" if rng.random() < 0.85 else "",
        "城市": company["city"],
        "地址": company["address"] if rng.random() < 0.5 else "",
    }


def _spoilt_contact(rng: random.Random, row: Row, company: dict[str, str]) -> Row:
    return {
        "姓名": _person_variant(rng, row["姓名"]),
        "公司": _name_variant(rng, company) if rng.random() < 0.9 else "",
        "手机": _mobile_variant(rng, row["手机"]),
        "电话": _phone_variant(rng, company["phone"]) if rng.random() < 0.5 else "",
        "邮箱": _email_variant(rng, row["邮箱"]),
        "城市": row["城市"] if rng.random() < 0.85 else "",
        "地址": company["city"] + "市" + company["address"] if rng.random() < 0.3 else "",
    }


def _like_contact(rng: random.Random, row: Row, company: dict[str, str]) -> Row:
    """Another person who looks the same: namesake, relative, or one behind the same numbers."""
    kind = rng.randrange(6)
    if kind == 0:  # the same name, another company in the same city
        other = {**_company(rng), "city": row["城市"]}
        return {**_contact(rng, other, row["姓名"]), "电话": ""}
    if kind == 1:  # the same name behind the same switchboard
        return {**_contact(rng, company, row["姓名"]), "电话": company["phone"]}
    made = _contact(rng, company, _person(rng, row["姓名"][0]))
    if made["姓名"] == row["姓名"]:
        made["姓名"] = row["姓名"][0] + "".join(rng.choices(words.GIVEN, k=2))
    if kind == 2:  # father and son: surname, address, landline
        return {**made, "电话": company["phone"], "地址": company["address"]}
    if kind == 3:  # brothers: the first letter of the given name too
        return {**made, "姓名": row["姓名"][:2] + rng.choice(words.GIVEN) + rng.choice("华军伟明")}
    if kind == 4:  # one mailbox for all
        return {**made, "姓名": _person(rng), "邮箱": row["邮箱"], "电话": company["phone"]}
    return {**made, "姓名": _person(rng), "手机": row["手机"]}  # the firm's mobile


def chinese_contacts(rng: random.Random) -> Iterator[tuple[Row, list[Row], list[Row]]]:
    """Contacts, several to a company."""
    while True:
        company = _company(rng)
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            row = _contact(rng, company, _person(rng))
            copies = rng.choice((1, 1, 1, 2, 3)) if rng.random() < _COPIED else 0
            like = 1 if rng.random() < _LOOKALIKE else 0
            yield (
                row,
                [_spoilt_contact(rng, row, company) for _ in range(copies)],
                [_like_contact(rng, row, company) for _ in range(like)],
            )


def _account(company: dict[str, str], name: str = "") -> Row:
    return {
        "公司名称": name or _full(company),
        "统一社会信用代码": company["uscc"],
        "电话": company["phone"],
        "网址": company["host"],
        "城市": company["city"],
        "地址": company["address"],
    }


def _spoilt_account(rng: random.Random, company: dict[str, str]) -> Row:
    variant = _name_variant(rng, company)
    prefix = rng.choice(("", "", company["city"] + "市", company["city"]))
    address = company["address"]
    address = rng.choice((address, address.rpartition("号")[0] + "号", prefix + address))
    return {
        "公司名称": variant,
        "统一社会信用代码": company["uscc"] if rng.random() < 0.4 else "",
        "电话": _phone_variant(rng, company["phone"]),
        "网址": rng.choice((company["host"], "http://" + company["host"] + "/", "")),
        "城市": rng.choice((company["city"], company["city"] + "市", "")),
        "地址": address if rng.random() < 0.8 else "",
    }


def _like_account(rng: random.Random, company: dict[str, str]) -> Row:
    """Another company that looks the same."""
    other = _company(rng)
    shared = {**other, "host": company["host"], "core": company["core"], "city": company["city"]}
    stem = company["core"] + company["industry"]
    kind = rng.randrange(6)
    if kind == 0:  # the group above it, with the same switchboard
        group = f"{company['city']}{company['core']}集团有限公司"
        shared |= {"phone": company["phone"], "address": company["address"]}
        return _account(shared, group)
    if kind == 1:
        group = f"{company['city']}{stem}集团有限公司"
        return _account({**shared, "phone": company["phone"]}, group)
    if kind == 2:  # a branch in another city
        branch = f"{_full(company)}{other['city']}分公司"
        return _account({**shared, "city": other["city"]}, branch)
    if kind == 3:  # a sister in another trade, in the same house
        same = {**shared, "industry": other["industry"], "phone": company["phone"]}
        if other["industry"] == company["industry"]:
            same["industry"] = "投资管理"
        return _account({**same, "address": company["address"], "form": "有限公司"})
    if kind == 4:  # the same name in another city
        city = rng.choice([each for each in words.CITIES if each != company["city"]])
        named = {name: company[name] for name in ("core", "industry")}
        return _account({**other, **named, "city": city})
    tower = {name: company[name] for name in ("address", "city")}
    return _account({**other, **tower})


def chinese_accounts(rng: random.Random) -> Iterator[tuple[Row, list[Row], list[Row]]]:
    """Companies."""
    while True:
        company = _company(rng)
        row = _account(company)
        for name in ("统一社会信用代码", "电话", "网址", "地址"):
            if rng.random() < 0.3:
                row[name] = ""
        copies = rng.choice((1, 1, 1, 2, 3)) if rng.random() < _COPIED else 0
        like = [_like_account(rng, company) for _ in range(rng.random() < _LOOKALIKE)]
        yield row, [_spoilt_account(rng, company) for _ in range(copies)], like
