"""Contacts of one block, with their planted defects and their hard negatives."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from refcrm.seed import codes, rates, spoil, words
from refcrm.seed.accounts import Account
from refcrm.seed.world import NULL, Alike, Block

COLUMNS = (
    "id", "owner_id", "account_id", "name", "title", "email", "mobile", "phone", "city", "address",
    "birth_date", "version", "created_at", "updated_at",
)  # fmt: skip
_PUBLIC_HOSTS = ("qq.com", "163.com", "126.com", "sina.com", "foxmail.com", "outlook.com")
_COMMON_NAMES = ("张伟", "王伟", "李娜", "王芳", "李强", "张敏", "刘洋", "王静")
_SERIALS = 36**6

# What a second entry of one person keeps and changes: name, mobile, e-mail. "-" leaves it out.
RECIPES = (
    ("=", "rewritten", "-"),
    ("other", "=", "upper"),
    ("=", "typo", "="),
    ("other", "=", "typo"),
    ("other", "-", "="),
    ("other", "rewritten", "typo"),
    ("=", "rewritten", "="),
)


@dataclass(slots=True)
class Contact:
    """One contact; texts as COPY writes them, times in the clock's seconds."""

    id: int
    owner_id: str
    account_id: str
    name: str
    title: str
    email: str
    mobile: str
    phone: str
    city: str
    address: str
    birth_date: str
    created: int
    updated: int
    account: Account


def rows(block: Block, contacts: list[Contact]) -> list[str]:
    """The contacts as lines for COPY, in the order of COLUMNS."""
    stamp = block.world.clock.stamp
    return [
        "\t".join(
            (str(c.id), c.owner_id, c.account_id, c.name, c.title, c.email, c.mobile, c.phone,
             c.city, c.address, c.birth_date, "1", stamp(c.created), stamp(c.updated))
        )
        for c in contacts
    ]  # fmt: skip


def make(block: Block, accounts: list[Account]) -> tuple[list[Contact], list[Contact]]:
    """The block's contacts in order of id, and the untouched ones among them."""
    contacts = [_contact(block, position, accounts) for position in block.rows("contacts")]
    dealt, clean = block.assign("contacts")
    _lookalikes(block, contacts, clean)
    for at, rate in enumerate(dealt):
        if rate is None:
            continue
        original = contacts[clean.pop()] if rate.kind in (rates.EXACT, rates.FUZZY) else None
        contacts[at] = _spoilt(block, contacts[at], rate, original)
    return contacts, [contacts[at] for at in clean]


def person(block: Block, chinese: bool) -> tuple[str, str]:
    """A name and its part before an e-mail's serial: 王小明 and ``xiaoming.wang``."""
    draw, pools = block.rng.random, block.world.pools
    if not chinese:
        first = pools.first_names[int(draw() * len(pools.first_names))]
        last = pools.last_names[int(draw() * len(pools.last_names))]
        return f"{first[0]} {last[0]}", f"{first[1]}.{last[1]}"
    surname = pools.surnames[int(draw() * len(pools.surnames))]
    given = pools.given[int(draw() * len(pools.given))]
    if draw() < 0.2:
        return surname[0] + given[0], f"{given[1]}.{surname[1]}"
    second = pools.given[int(draw() * len(pools.given))]
    return surname[0] + given[0] + second[0], f"{given[1]}{second[1]}.{surname[1]}"


def reach(block: Block, serial: int, latin: str, domain: str) -> tuple[str, str]:
    """E-mail and mobile of person number ``serial``; nobody else in this CRM has either."""
    draw, salt = block.rng.random, block.world.salt
    host = domain if draw() < 0.8 else _PUBLIC_HOSTS[int(draw() * len(_PUBLIC_HOSTS))]
    mark = codes.base36(codes.scatter(serial, _SERIALS, salt))
    return f"{latin}.{mark}@{host}", codes.mobile(serial, salt)


def _contact(block: Block, position: int, accounts: list[Account]) -> Contact:
    draw, world = block.rng.random, block.world
    account = accounts[int(draw() * draw() * len(accounts))]
    chinese = draw() < (0.94 if account.chinese else 0.3)
    name, latin = person(block, chinese)
    email, mobile = reach(block, 2 * position, latin, account.domain)
    titles = words.TITLES if chinese else words.ENGLISH_TITLES
    owner = account.owner if draw() < 0.85 else block.owner()
    place = account.place
    streets = world.pools.streets
    street, door, room = streets[int(draw() * len(streets))], int(draw() * 400), int(draw() * 900)
    created, updated = block.times("contacts", position)
    line = 20_000_000 + int(draw() * 70_000_000)
    return Contact(
        position + 1, str(owner.id), str(account.id), name, titles[int(draw() * len(titles))],
        email, mobile, account.phone if draw() < 0.5 else f"{place.dialling}-{line}",
        place.name, f"{place.name}市{street}{door + 1}号{room + 101}室",
        _birth(block, 22 + int(draw() * 40)),
        created, updated, account,
    )  # fmt: skip


def _birth(block: Block, age: int) -> str:
    draw = block.rng.random
    year = int(block.world.clock.day(block.world.clock.now)[:4]) - age
    return f"{year}-{1 + int(draw() * 12):02d}-{1 + int(draw() * 28):02d}"


def _lookalikes(block: Block, contacts: list[Contact], clean: list[int]) -> None:
    """Make pairs of clean contacts look alike without being the same person."""
    for look in rates.LOOKALIKES:
        if look.entity != "contacts":
            continue
        for _ in range(rates.upto(look.share, 1.0, len(contacts))):
            if len(clean) < 4:
                return
            one, other = contacts[clean.pop()], contacts[clean.pop()]
            if look.kind == "namesake" and one.account is other.account:
                continue
            _ALIKE[look.kind](block, one, other)
            block.alike.append(Alike("contacts", other.id, one.id, look.kind))


def _same_account(one: Contact, other: Contact) -> None:
    local, _, host = other.email.partition("@")
    if host == other.account.domain:
        other.email = f"{local}@{one.account.domain}"
    other.account, other.account_id, other.city = one.account, one.account_id, one.city
    room = other.address.partition("号")[2]
    other.address = f"{one.address.partition('号')[0]}号{room}"


def _switchboard(block: Block, one: Contact, other: Contact) -> None:
    _same_account(one, other)
    one.phone = other.phone = one.account.phone


def _family(block: Block, one: Contact, other: Contact) -> None:
    _same_account(one, other)
    other.address, other.phone = one.address, one.phone
    one.birth_date, other.birth_date = _birth(block, 50), _birth(block, 23)
    if spoil.is_chinese(one.name) and spoil.is_chinese(other.name):
        given = other.name[1:] if other.name[1:] != one.name[1:] else other.name[1:] + "一"
        other.name = one.name[0] + given
    else:
        other.name = f"{other.name.split(' ')[0]} {one.name.split(' ')[-1]}"


def _namesake(block: Block, one: Contact, other: Contact) -> None:
    one.name = other.name = _COMMON_NAMES[int(block.rng.random() * len(_COMMON_NAMES))]


_ALIKE = {"switchboard": _switchboard, "family": _family, "namesake": _namesake}


def _spoilt(block: Block, contact: Contact, rate: rates.Rate, original: Contact | None) -> Contact:
    """The contact with one planted defect, noted in the block's truth."""
    block.mark("contacts", contact.id, rate.kind, rate.field, original.id if original else None)
    if original is not None:
        return _copy(block, contact, original, rate.kind)
    if rate.kind == rates.STALE:
        contact.created, contact.updated = block.stale_times()
    elif rate.kind == rates.INCONSISTENT:
        contact.created, contact.updated = block.reversed_times()
    elif rate.kind == rates.ORPHANED:
        contact.account_id = nowhere(contact.id)
    else:
        spoil_field(block, contact, rate)
    return contact


def nowhere(record: int) -> str:
    """The id of an account that never was and, at this size, never will be."""
    return str(9_000_000_000 + record)


def spoil_field(block: Block, record: object, rate: rates.Rate) -> None:
    """Blank or garble the one field of a contact or lead that the rate names."""
    rng, field = block.rng, str(rate.field)
    value: str = getattr(record, field)
    if rate.kind == rates.MISSING:
        value = NULL if field == "owner_id" else spoil.blank(rng)
    elif field == "email":
        value = spoil.malformed_email(value, rng)
    else:
        value = spoil.malformed_mobile(value, rng)
    setattr(record, field, value)


def second_entry(
    block: Block, entity: str, record: int, one: tuple[str, str, str]
) -> tuple[str, str, str]:
    """Name, mobile and e-mail as a second clerk would have entered them.

    A field left out or written out of format gets its own truth row, because a completeness or
    format rule is right to find it.
    """
    rng = block.rng
    recipe = RECIPES[int(rng.random() * len(RECIPES))]
    name, mobile, email = one
    if recipe[0] == "other":
        name = spoil.other_person(name, rng)
    if recipe[1] == "rewritten":
        mobile = spoil.rewritten_mobile(mobile, rng)
        block.mark(entity, record, rates.MALFORMED, "mobile")
    elif recipe[1] == "typo":
        mobile = codes.mistyped_mobile(mobile)
    elif recipe[1] == "-":
        mobile = spoil.blank(rng)
        block.mark(entity, record, rates.MISSING, "mobile")
    if recipe[2] == "upper":
        email = email.upper()
    elif recipe[2] == "typo":
        email = spoil.mistyped_email(email)
    elif recipe[2] == "-":
        email = spoil.blank(rng)
        block.mark(entity, record, rates.MISSING, "email")
    return name, mobile, email


def _copy(block: Block, contact: Contact, original: Contact, kind: str) -> Contact:
    twin = copy(original)
    twin.id, twin.created, twin.updated = contact.id, contact.created, contact.updated
    if kind == rates.EXACT:
        return twin
    one = (original.name, original.mobile, original.email)
    twin.name, twin.mobile, twin.email = second_entry(block, "contacts", twin.id, one)
    if block.rng.random() < 0.3:
        twin.address = original.address.removeprefix(f"{original.city}市")
    for share, field in ((0.2, "title"), (0.3, "birth_date")):
        if block.rng.random() < share:
            setattr(twin, field, NULL)
            block.mark("contacts", twin.id, rates.MISSING, field)
    return twin
