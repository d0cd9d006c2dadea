"""Leads of one block; the converted ones point at the person and company they became."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from refcrm.seed import rates, spoil
from refcrm.seed.accounts import Account
from refcrm.seed.contacts import Contact, person, reach, second_entry, spoil_field
from refcrm.seed.world import NULL, Block

COLUMNS = (
    "id", "owner_id", "name", "company", "email", "mobile", "source", "status",
    "converted_contact_id", "converted_account_id", "version", "created_at", "updated_at",
)  # fmt: skip
_SOURCES = ("web", "exhibition", "referral", "phone", "wechat", "partner", "advert")
_STATUS = ("new", "new", "working", "working", "working", "qualified", "lost", "lost")


@dataclass(slots=True)
class Lead:
    """One lead; texts as COPY writes them, times in the clock's seconds."""

    id: int
    owner_id: str
    name: str
    company: str
    email: str
    mobile: str
    source: str
    status: str
    contact_id: str
    account_id: str
    created: int
    updated: int
    city: str


def rows(block: Block, leads: list[Lead]) -> list[str]:
    """The leads as lines for COPY, in the order of COLUMNS."""
    stamp = block.world.clock.stamp
    return [
        "\t".join(
            (str(one.id), one.owner_id, one.name, one.company, one.email, one.mobile, one.source,
             one.status, one.contact_id, one.account_id, "1", stamp(one.created),
             stamp(one.updated))
        )
        for one in leads
    ]  # fmt: skip


def make(block: Block, accounts: list[Account], known: list[Contact]) -> list[Lead]:
    """The block's leads in order of id.

    ``accounts`` and ``known`` are untouched ones: a lead names the company of one, and a
    converted lead is one of ``known``.
    """
    leads = [_lead(block, position, accounts) for position in block.rows("leads")]
    dealt, clean = block.assign("leads")
    _convert(block, leads, clean, known)
    for at, rate in enumerate(dealt):
        if rate is None:
            continue
        original = leads[clean.pop()] if rate.kind in (rates.EXACT, rates.FUZZY) else None
        leads[at] = _spoilt(block, leads[at], rate, original)
    return leads


def _lead(block: Block, position: int, accounts: list[Account]) -> Lead:
    draw = block.rng.random
    account = accounts[int(draw() * len(accounts))]
    name, latin = person(block, draw() < (0.94 if account.chinese else 0.3))
    email, mobile = reach(block, 2 * position + 1, latin, account.domain)
    owner = account.owner if draw() < 0.6 else block.owner()
    created, updated = block.times("leads", position)
    return Lead(
        position + 1, str(owner.id), name, account.name, email, mobile,
        _SOURCES[int(draw() * len(_SOURCES))], _STATUS[int(draw() * len(_STATUS))],
        NULL, NULL, created, updated, account.city,
    )  # fmt: skip


def _convert(block: Block, leads: list[Lead], clean: list[int], known: list[Contact]) -> None:
    """Make an eighth of the clean leads ones that became a known contact, each another one."""
    # A company without a name would be a defect that nobody planted.
    named = (contact for contact in known if contact.account.name.strip(NULL))
    for at, contact in zip(clean[: len(clean) // 8], named, strict=False):
        lead = leads[at]
        lead.name, lead.email, lead.mobile = contact.name, contact.email, contact.mobile
        lead.company, lead.city = contact.account.name, contact.account.city
        lead.status, lead.owner_id = "converted", contact.owner_id
        lead.contact_id, lead.account_id = str(contact.id), contact.account_id
        lead.created = max(0, contact.created - int(block.rng.random() * 2_000_000))
        lead.updated = block.fresh(contact.created)
    # A converted lead is nobody's original: its copy would be a converted lead as well.
    del clean[: len(clean) // 8]


def _spoilt(block: Block, lead: Lead, rate: rates.Rate, original: Lead | None) -> Lead:
    """The lead with one planted defect, noted in the block's truth."""
    block.mark("leads", lead.id, rate.kind, rate.field, original.id if original else None)
    if original is None:
        spoil_field(block, lead, rate)
        return lead
    twin = copy(original)
    twin.id, twin.created, twin.updated = lead.id, lead.created, lead.updated
    if rate.kind == rates.FUZZY:
        one = (original.name, original.mobile, original.email)
        twin.name, twin.mobile, twin.email = second_entry(block, "leads", twin.id, one)
        if block.rng.random() < 0.5:
            twin.company = spoil.other_company(original.company, original.city, block.rng)
    return twin
