"""Accounts of one block, with their planted defects and their hard negatives."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from refcrm.seed import codes, rates, spoil, words
from refcrm.seed.world import NULL, Alike, Block, Owner

COLUMNS = (
    "id", "owner_id", "name", "uscc", "industry", "phone", "website", "region", "city", "address",
    "postcode", "version", "created_at", "updated_at",
)  # fmt: skip


@dataclass(slots=True)
class Account:
    """One account; texts as COPY writes them, times in the clock's seconds.

    The last four are not columns: contacts and hard negatives need them.
    """

    id: int
    owner_id: str
    name: str
    uscc: str
    industry: str
    phone: str
    website: str
    region: str
    city: str
    address: str
    postcode: str
    created: int
    updated: int
    place: words.City
    domain: str
    brand: str
    owner: Owner

    @property
    def chinese(self) -> bool:
        """Whether the company is named in Chinese."""
        return self.city == self.place.name


def rows(block: Block, accounts: list[Account]) -> list[str]:
    """The accounts as lines for COPY, in the order of COLUMNS."""
    stamp = block.world.clock.stamp
    return [
        "\t".join(
            (str(a.id), a.owner_id, a.name, a.uscc, a.industry, a.phone, a.website, a.region,
             a.city, a.address, a.postcode, "1", stamp(a.created), stamp(a.updated))
        )
        for a in accounts
    ]  # fmt: skip


def make(block: Block) -> tuple[list[Account], list[Account]]:
    """The block's accounts in order of id, and the untouched ones among them."""
    positions = block.rows("accounts")
    accounts = [_account(block, position) for position in positions]
    dealt, clean = block.assign("accounts")
    _lookalikes(block, accounts, clean)
    for at, rate in enumerate(dealt):
        if rate is None:
            continue
        original = accounts[clean.pop()] if rate.kind in (rates.EXACT, rates.FUZZY) else None
        accounts[at] = _spoilt(block, accounts[at], rate, original)
    return accounts, [accounts[at] for at in clean]


def _digits(number: int, base: int, total: int, salt: int) -> list[int]:
    """The number as scattered digits of a base, as many as keep ``total`` numbers apart."""
    width = 3
    while base**width < total:
        width += 1
    rest, digits = codes.scatter(number, base**width, salt), []
    for _ in range(width):
        rest, digit = divmod(rest, base)
        digits.append(digit)
    return digits


def _name(
    block: Block, position: int, city: words.City, industry: int
) -> tuple[str, str, str, bool]:
    """Full name, brand, brand in Latin letters, whether in Chinese; the brand is nobody else's."""
    world, rng = block.world, block.rng
    total = world.counts["accounts"]
    if rng.random() < 0.85:
        parts = [words.BRAND[d] for d in _digits(position, len(words.BRAND), total, world.salt)]
        brand, latin = ("".join(part[side] for part in parts) for side in (0, 1))
        draw = rng.random()
        form = words.LEGAL_FORMS[0 if draw < 0.7 else 1 if draw < 0.82 else 2 if draw < 0.92 else 3]
        return city.name + brand + words.INDUSTRIES[industry][0] + form, brand, latin, True
    pool = world.pools.last_names
    picked = [pool[d] for d in _digits(position, len(pool), total, world.salt)[:3]]
    brand = " ".join(part[0] for part in picked)
    form = words.ENGLISH_FORMS[int(rng.random() * len(words.ENGLISH_FORMS))]
    name = f"{brand} {words.INDUSTRIES[industry][1]} {form}"
    return name, brand, "".join(part[1] for part in picked), False


def _account(block: Block, position: int) -> Account:
    world, rng, owner = block.world, block.rng, block.owner()
    cities = words.REGIONS[owner.region]
    place = cities[int(rng.random() * len(cities))]
    industry = int(rng.random() * len(words.INDUSTRIES))
    name, brand, latin, chinese = _name(block, position, place, industry)
    domain = f"{latin}-{codes.base36(position)}.com.cn"
    door = 1 + int(rng.random() * 999)
    streets = world.pools.streets if chinese else world.pools.english_streets
    street = streets[int(rng.random() * len(streets))]
    address = f"{place.name}市{street}{door}号" if chinese else f"{door} {street}"
    created, updated = block.times("accounts", position)
    return Account(
        position + 1, str(owner.id), name, codes.uscc(position, place.code, world.salt),
        words.INDUSTRIES[industry][2],
        f"{place.dialling}-{codes.scatter(position, 70_000_001, world.salt) + 20_000_000}",
        f"https://www.{domain}", owner.region, place.name if chinese else place.english, address,
        f"{place.postcode}{int(rng.random() * 90) + 10}", created, updated,
        place, domain, brand, owner,
    )  # fmt: skip


def _lookalikes(block: Block, accounts: list[Account], clean: list[int]) -> None:
    """Turn some clean accounts into a branch or a subsidiary of another; both stay clean."""
    for look in rates.LOOKALIKES:
        if look.entity != "accounts":
            continue
        for _ in range(rates.upto(look.share, 1.0, len(accounts))):
            if len(clean) < 4:
                return
            head, other = accounts[clean.pop()], accounts[clean.pop()]
            (_as_branch if look.kind == "branch" else _as_subsidiary)(head, other)
            block.alike.append(Alike("accounts", other.id, head.id, look.kind))


def _as_branch(head: Account, other: Account) -> None:
    other.name = f"{head.name}{other.place.name}分公司" if head.chinese else (
        f"{head.name} {other.place.english} Branch"
    )  # fmt: skip
    other.industry, other.website, other.brand = head.industry, head.website, head.brand


def _as_subsidiary(head: Account, other: Account) -> None:
    trade = next(i for i in words.INDUSTRIES if i[2] == other.industry)
    if head.chinese:
        head.name = f"{head.place.name}{head.brand}集团有限公司"
        other.name = f"{other.place.name}{head.brand}{trade[0]}有限公司"
    else:
        head.name = f"{head.brand} Group Ltd."
        other.name = f"{head.brand} {trade[1]} Ltd."
    other.website, other.phone, other.brand = head.website, head.phone, head.brand


def _spoilt(block: Block, account: Account, rate: rates.Rate, original: Account | None) -> Account:
    """The account with one planted defect, noted in the block's truth."""
    block.mark("accounts", account.id, rate.kind, rate.field, original.id if original else None)
    if original is not None:
        return _copy(block, account, original, rate.kind)
    if rate.kind == rates.INCONSISTENT:
        account.created, account.updated = block.reversed_times()
    elif rate.field == "owner_id":
        account.owner_id = NULL
    elif rate.field == "name":
        account.name = spoil.blank(block.rng)
    elif rate.field == "postcode":
        account.postcode = spoil.malformed_postcode(account.postcode, block.rng)
    elif rate.kind == rates.MALFORMED:
        account.uscc = codes.wrong_uscc(account.uscc)
    else:
        account.uscc = spoil.blank(block.rng)
    return account


def _copy(block: Block, account: Account, original: Account, kind: str) -> Account:
    twin = copy(original)
    twin.id, twin.created, twin.updated = account.id, account.created, account.updated
    if kind == rates.EXACT:
        return twin
    rng = block.rng
    twin.name = spoil.other_company(original.name, original.city, rng)
    if rng.random() < 0.4:
        twin.uscc = spoil.blank(rng)
        block.mark("accounts", twin.id, rates.MISSING, "uscc")
    if rng.random() < 0.3:
        twin.phone = NULL
        block.mark("accounts", twin.id, rates.MISSING, "phone")
    if rng.random() < 0.3:
        twin.website = original.website.replace("https://www.", "http://")
    if rng.random() < 0.2:
        twin.address = original.address.translate(words.FULL_WIDTH)
    return twin
