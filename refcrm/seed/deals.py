"""Deals of one block, and the quotes and orders that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from refcrm.seed import codes, rates
from refcrm.seed.contacts import Contact, nowhere
from refcrm.seed.world import DAY, NULL, Block

COLUMNS = (
    "id", "owner_id", "name", "account_id", "contact_id", "stage", "amount", "currency",
    "close_date", "version", "created_at", "updated_at",
)  # fmt: skip
QUOTE_COLUMNS = (
    "id", "owner_id", "number", "deal_id", "status", "total", "valid_until", "version",
    "created_at", "updated_at",
)  # fmt: skip
ORDER_COLUMNS = (
    "id", "owner_id", "number", "account_id", "quote_id", "status", "total", "ordered_at",
    "version", "created_at", "updated_at",
)  # fmt: skip
OPEN_STAGES = ("prospecting", "qualification", "proposal", "negotiation")
OPEN_FRESH_DAYS = 90
_GOODS = (
    "设备采购", "年度框架", "系统升级", "维保服务", "备件供应", "云服务订阅", "咨询项目",
    "产线改造", "软件许可", "培训服务",
)  # fmt: skip
_QUOTE_STATUS = ("draft", "sent", "sent", "accepted", "accepted", "rejected")
_ORDER_STATUS = ("placed", "paid", "shipped", "delivered", "delivered", "cancelled")


@dataclass(slots=True)
class Deal:
    """One deal; texts as COPY writes them, times in the clock's seconds."""

    id: int
    owner_id: str
    name: str
    account_id: str
    contact_id: str
    stage: str
    amount: str
    close: int
    created: int
    updated: int


@dataclass(slots=True)
class Quote:
    """What orders need to know of a quote."""

    id: int
    deal: Deal
    total: str
    created: int


def rows(block: Block, deals: list[Deal]) -> list[str]:
    """The deals as lines for COPY, in the order of COLUMNS."""
    stamp, day = block.world.clock.stamp, block.world.clock.day
    return [
        "\t".join(
            (str(d.id), d.owner_id, d.name, d.account_id, d.contact_id, d.stage, d.amount, "CNY",
             day(d.close), "1", stamp(d.created), stamp(d.updated))
        )
        for d in deals
    ]  # fmt: skip


def make(block: Block, contacts: list[Contact]) -> tuple[list[Deal], list[Deal]]:
    """The block's deals in order of id, and the untouched ones; ``contacts`` are untouched ones."""
    dealt, clean = block.assign("deals")
    deals = [
        _deal(block, position, contacts, _stage_for(rate))
        for position, rate in zip(block.rows("deals"), dealt, strict=True)
    ]
    for deal, rate in zip(deals, dealt, strict=True):
        if rate is not None:
            _spoil(block, deal, rate)
    return deals, [deals[at] for at in clean]


def _stage_for(rate: rates.Rate | None) -> str | None:
    """The stage that a planted defect needs to show: "open", "won" or any (None)."""
    if rate is None or rate.kind in (rates.ORPHANED, rates.MISSING):
        return None
    return "won" if rate.field == "amount" else "open"


def _deal(block: Block, position: int, contacts: list[Contact], wanted: str | None) -> Deal:
    draw, now = block.rng.random, block.world.clock.now
    contact = contacts[int(draw() * draw() * len(contacts))]
    created, _ = block.times("deals", position)
    if wanted == "won":
        created = min(created, now - 20 * DAY)
    # A deal made in the last fortnight cannot be closed for days already.
    is_open = wanted == "open" or (wanted is None and (draw() < 0.55 or created > now - 15 * DAY))
    if is_open:
        stage = OPEN_STAGES[int(draw() * 4)]
        close = now + int((1 + draw() * 180) * DAY)
        updated = block.fresh(created, OPEN_FRESH_DAYS)
    else:
        stage = "won" if wanted == "won" or draw() < 0.6 else "lost"
        close = created + int((2 + draw() * min(150, (now - created) / DAY - 4)) * DAY)
        updated = min(now - 1, close + int(draw() * 2 * DAY))
    amount = f"{int(10 ** (3.5 + draw() * 2.7)) * 10}.00"
    goods = _GOODS[int(draw() * len(_GOODS))]
    return Deal(
        position + 1, contact.owner_id, f"{contact.account.brand}{goods}", contact.account_id,
        str(contact.id), stage, amount, close, created, updated,
    )  # fmt: skip


def _spoil(block: Block, deal: Deal, rate: rates.Rate) -> None:
    """Plant one defect, noted in the block's truth."""
    block.mark("deals", deal.id, rate.kind, rate.field)
    if rate.kind == rates.STALE:
        deal.created, deal.updated = block.stale_times()
    elif rate.kind == rates.MISSING:
        deal.owner_id = NULL
    elif rate.kind == rates.ORPHANED:
        deal.account_id = nowhere(deal.id)
    elif rate.field == "amount":
        deal.amount = NULL
    elif rate.field == "updated_at":
        deal.created, deal.updated = block.reversed_times()
    else:
        deal.close = max(0, deal.created - int((5 + block.rng.random() * 200) * DAY))


def quotes(block: Block, deals: list[Deal]) -> tuple[list[str], list[Quote]]:
    """The block's quotes as lines for COPY in the order of QUOTE_COLUMNS, and as records."""
    clock, draw = block.world.clock, block.rng.random
    lines: list[str] = []
    made: list[Quote] = []
    for position in block.rows("quotes"):
        deal = deals[int(draw() * len(deals))]
        created = min(deal.created + int(draw() * 5 * DAY), clock.now - DAY)
        updated, until = block.fresh(created), clock.day(created + 30 * DAY)
        status = _QUOTE_STATUS[int(draw() * len(_QUOTE_STATUS))]
        common = (str(position + 1), deal.owner_id, f"Q-{position + 1:08d}", str(deal.id), status)
        times = (clock.stamp(created), clock.stamp(updated))
        lines.append("\t".join((*common, deal.amount, until, "1", *times)))
        made.append(Quote(position + 1, deal, deal.amount, created))
    return lines, made


def orders(block: Block, made: list[Quote]) -> list[str]:
    """The block's orders as lines for COPY in the order of ORDER_COLUMNS."""
    clock, draw = block.world.clock, block.rng.random
    lines: list[str] = []
    for position in block.rows("orders"):
        quote = made[codes.scatter(position, len(made), block.world.salt)]
        created = min(quote.created + int(draw() * 10 * DAY), clock.now - DAY)
        status = _ORDER_STATUS[int(draw() * len(_ORDER_STATUS))]
        common = (str(position + 1), quote.deal.owner_id, f"O-{position + 1:08d}")
        link = (quote.deal.account_id, str(quote.id), status, quote.total)
        times = (clock.stamp(created), clock.stamp(created), clock.stamp(block.fresh(created)))
        lines.append("\t".join((*common, *link, times[0], "1", *times[1:])))
    return lines
