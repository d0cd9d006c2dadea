"""People and sites in Latin script, copies of them spoilt, and others that only look the same."""

from __future__ import annotations

import random
from collections.abc import Iterator

from dq_checks.duplicates import truth_words as words

Row = dict[str, str]
_COPIED, _LOOKALIKE = 0.2, 0.08
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _typo(rng: random.Random, text: str, letters: str = _LETTERS) -> str:
    """One letter typed wrongly, left out, doubled or swapped with its neighbour."""
    if len(text) < 3:
        return text
    at = rng.randrange(1, len(text) - 1)
    return rng.choice(
        (
            text[:at] + rng.choice(letters) + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
        )
    )


def _digits(rng: random.Random, number: int) -> str:
    return "".join(rng.choices("0123456789", k=number))


def _surname(rng: random.Random) -> str:
    return rng.choice(words.LAST_STEMS) + rng.choice(words.LAST_ENDINGS)


def _street(rng: random.Random) -> str:
    return f"{rng.choice(words.STREETS)} {rng.choice(words.STREET_KINDS)[0].lower()}"


def _date(rng: random.Random, first: int = 1930, last: int = 2004) -> str:
    return f"{rng.randint(first, last)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"


def _person(rng: random.Random) -> Row:
    town = rng.randrange(len(words.TOWNS) * 8)
    given, surname = rng.choice(words.FIRST_NAMES), _surname(rng)
    host = rng.choice(("gmail.com", "yahoo.com", f"{rng.choice(words.FIRM_WORDS)}.com"))
    return {
        "First Name": given,
        "Last Name": surname,
        "Street Number": str(rng.randint(1, 400)),
        "Address 1": _street(rng),
        "Address 2": rng.choice(words.STREETS) + rng.choice(("", " house", " village")),
        "City": words.TOWNS[town % len(words.TOWNS)]
        + ("", " park", " heights", " hills")[town % 4],
        "Postcode": f"{2000 + town * 7}",
        "Date of Birth": _date(rng),
        "SSN": _digits(rng, 7),
        "Email": f"{given}.{surname}{rng.choice(('', _digits(rng, 2)))}@{host}",
        "Phone": f"({rng.randint(201, 989)}) {rng.randint(200, 999)}-{_digits(rng, 4)}",
        "Company": f"{rng.choice(words.FIRM_WORDS)} {rng.choice(words.FIRM_KINDS)}",
    }


_MISSING = {
    "First Name": 0.06, "Last Name": 0.04, "Street Number": 0.08, "Address 1": 0.06,
    "Address 2": 0.2, "City": 0.05, "Postcode": 0.06, "Date of Birth": 0.12, "SSN": 0.1,
    "Email": 0.3, "Phone": 0.3, "Company": 0.3,
}  # fmt: skip
_CHANGED = {
    "Email": 0.1, "Phone": 0.1, "Company": 0.15, "SSN": 0.08, "Date of Birth": 0.06,
    "Last Name": 0.04,
}  # fmt: skip
_RELATED = (3, 3, 0.3, 3, 3)
_MOVED = ("Street Number", "Address 1", "Address 2", "City", "Postcode")
_NUMERIC = frozenset({"Postcode", "Date of Birth", "SSN", "Phone", "Street Number"})


def _spoilt_person(rng: random.Random, row: Row) -> Row:
    made = _moved_about(rng, row)
    for name, share in _CHANGED.items():
        if rng.random() < share:
            made[name] = _person(rng)[name]
    return {name: _mistyped(rng, name, value) for name, value in made.items()}


def _moved_about(rng: random.Random, row: Row) -> Row:
    """Fields that were swapped, people who moved, names that are written shorter."""
    made = dict(row)
    for one, other in (("First Name", "Last Name"), ("Address 1", "Address 2")):
        if rng.random() < 0.08:
            made[one], made[other] = made[other], made[one]
    if rng.random() < 0.08:
        elsewhere = _person(rng)
        made.update({name: elsewhere[name] for name in _MOVED})
    if rng.random() < 0.08:
        made["First Name"] = made["First Name"][:1]
    elif rng.random() < 0.04:
        made["First Name"] = rng.choice(words.FIRST_NAMES)
    if rng.random() < 0.3:
        made["Phone"] = made["Phone"].replace("(", "+1 ").replace(") ", "-")
    return made


def _mistyped(rng: random.Random, name: str, value: str) -> str:
    letters = "0123456789" if name in _NUMERIC else _LETTERS
    for _ in range(2):
        if rng.random() < 0.13:
            value = _typo(rng, value, letters)
    return "" if rng.random() < _MISSING[name] else value


def _like_person(rng: random.Random, row: Row) -> Row:
    """Another person: father and son, husband and wife, twins, a namesake, a colleague."""
    other = _person(rng)
    home = {name: row[name] for name in (*_MOVED, "Last Name")}
    kind = rng.choices(range(5), _RELATED)[0]
    if kind == 0:  # father and son of one name in one house
        year = max(int(row["Date of Birth"][:4]) - rng.randint(20, 35), 1905)
        born = f"{year}{other['Date of Birth'][4:]}"
        return {**other, **home, "First Name": row["First Name"], "Date of Birth": born}
    if kind == 1:  # a spouse, with the same telephone and perhaps the same mailbox
        made = {**other, **home, "Phone": row["Phone"]}
        return {**made, "Email": row["Email"]} if rng.random() < 0.3 else made
    if kind == 2:  # twins
        return {**other, **home, "Date of Birth": row["Date of Birth"], "Phone": row["Phone"]}
    if kind == 3:  # a namesake elsewhere
        return {**other, "First Name": row["First Name"], "Last Name": row["Last Name"]}
    return {**other, "Company": row["Company"], "Phone": row["Phone"]}


def latin_contacts(rng: random.Random) -> Iterator[tuple[Row, list[Row], list[Row]]]:
    """People; each column is missing in some."""
    while True:
        row = _person(rng)
        copies = rng.choice((1, 1, 1, 2, 4)) if rng.random() < _COPIED else 0
        made = [_spoilt_person(rng, row) for _ in range(copies)]
        like = [_like_person(rng, row) for _ in range(rng.random() < _LOOKALIKE)]
        for name in ("First Name", "Date of Birth", "SSN", "Email", "Phone", "Company"):
            if rng.random() < _MISSING[name] / 2:
                row[name] = ""
        yield row, made, like


def _site(rng: random.Random) -> Row:
    kind = rng.choice(words.STREET_KINDS)
    ordinal = f"{rng.randint(1, 130)}th"
    street = rng.choice((*words.STREETS, ordinal, ordinal, ordinal))
    way = rng.choice(("N", "S", "E", "W", "N.", "S.", "North", "South", ""))
    name = f"{_firm(rng)} {rng.choice(words.FIRM_KINDS)}"
    return {
        "Account Name": f"{name} {rng.choice(words.FIRM_FORMS)}".strip(),
        "Address": f"{rng.randint(1, 9999)} {way} {street} {kind[0]}".replace("  ", " "),
        "Zip": f"{60600 + rng.randrange(60)}",
        "Phone": f"{rng.randint(201, 989)}-{rng.randint(200, 999)}-{_digits(rng, 4)}",
        "Website": f"http://www.{name.replace(' ', '')}.com",
    }


def _firm(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{rng.choice(words.FIRM_WORDS)} {rng.choice(words.FIRM_WORDS)}",
            f"{rng.choice(words.FIRST_NAMES)} {_surname(rng)}",
            f"{_surname(rng)} {rng.choice(('and', '&'))} {_surname(rng)}",
            f"{rng.choice(words.FIRM_WORDS)} {rng.choice(words.STREETS)}",
        )
    )


def _other_name(rng: random.Random, name: str) -> str:
    """How another source writes a name: shorter, under an umbrella, in capitals, mistyped."""
    parts = name.replace(".", "").split()
    made = rng.choice(
        (
            name,
            name.upper(),
            " ".join(parts[:2]),
            " ".join(parts[:-1]) if len(parts) > 2 else name,
            f"{rng.choice(words.FIRM_WORDS)} {rng.choice(words.FIRM_KINDS)} - {name}",
            f"{name} / {' '.join(parts[:2])}",
            f"{name} {rng.choice(('Campus', 'Center', 'Program', 'Office', 'School'))}",
        )
    )
    return _typo(rng, made) if rng.random() < 0.12 else made


def _other_address(rng: random.Random, address: str) -> str:
    for kind in words.STREET_KINDS:
        if address.endswith(kind[0]):
            address = (address.removesuffix(kind[0]) + rng.choice(kind)).strip()
    address = rng.choice(
        (address, address, address.upper(), f"{address} Suite {rng.randint(1, 400)}",
         f"{address} 2nd Floor", address.replace("North", "N").replace("South", "S."))
    )  # fmt: skip
    return _typo(rng, address) if rng.random() < 0.07 else address


def _spoilt_site(rng: random.Random, row: Row) -> Row:
    phone = row["Phone"]
    chance = rng.random()
    if chance < 0.1:
        phone = ""
    elif chance < 0.2:
        phone = _site(rng)["Phone"]
    elif chance < 0.25:
        phone = _typo(rng, phone, "0123456789")
    elif chance < 0.5:
        phone = phone[4:]
    return {
        "Account Name": _other_name(rng, row["Account Name"]) if rng.random() < 0.95
        else _site(rng)["Account Name"],
        "Address": _other_address(rng, row["Address"]) if rng.random() < 0.97 else "",
        "Zip": "" if rng.random() < 0.35 else row["Zip"],
        "Phone": phone,
        "Website": row["Website"] if rng.random() < 0.3 else "",
    }  # fmt: skip


def _like_site(rng: random.Random, row: Row) -> Row:
    """Another site: of the same chain, with the same head office, next door, in the same tower."""
    other = _site(rng)
    kind = rng.randrange(5)
    if kind == 0:  # another site of the chain
        return {**other, "Account Name": row["Account Name"], "Website": row["Website"]}
    if kind == 1:  # the same head office's telephone
        name = f"{row['Account Name'].split()[0]} {other['Account Name']}"
        return {**other, "Account Name": name, "Phone": row["Phone"], "Website": row["Website"]}
    if kind == 2:  # next door
        house, _, rest = row["Address"].partition(" ")
        return {
            **other,
            "Address": f"{int(house) + rng.choice((2, 4, 10))} {rest}",
            "Zip": row["Zip"],
        }
    if kind == 3:  # the same house number on the other side of the town
        turned = {"N": "S", "S": "N", "E": "W", "W": "E"}
        house, way, rest = [*row["Address"].split(" ", 2), ""][:3]
        return {**other, "Address": f"{house} {turned.get(way[:1], 'E')} {rest}"}
    return {
        **other,
        "Account Name": " ".join(row["Account Name"].split()[:1]) + " " + other["Account Name"],
    }


def latin_accounts(rng: random.Random) -> Iterator[tuple[Row, list[Row], list[Row]]]:
    """Sites of companies, schools and clinics."""
    while True:
        row = _site(rng)
        copies = rng.choice((1, 1, 2, 3, 6)) if rng.random() < _COPIED else 0
        made = [_spoilt_site(rng, row) for _ in range(copies)]
        like = [_like_site(rng, row) for _ in range(rng.random() < _LOOKALIKE)]
        for name in ("Zip", "Website", "Phone"):
            if rng.random() < 0.15:
                row[name] = ""
        yield row, made, like
