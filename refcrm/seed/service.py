"""Activities and cases of one block, and the few campaigns and products of the whole CRM."""

from __future__ import annotations

import random

from refcrm.seed import rates
from refcrm.seed.contacts import Contact, nowhere
from refcrm.seed.deals import Deal
from refcrm.seed.words import INDUSTRIES
from refcrm.seed.world import DAY, NULL, Block, World

ACTIVITY_COLUMNS = (
    "id", "owner_id", "kind", "subject", "account_id", "contact_id", "deal_id", "due_at", "done_at",
    "version", "created_at", "updated_at",
)  # fmt: skip
CASE_COLUMNS = (
    "id", "owner_id", "number", "subject", "account_id", "contact_id", "status", "priority",
    "closed_at", "version", "created_at", "updated_at",
)  # fmt: skip
CAMPAIGN_COLUMNS = (
    "id", "owner_id", "name", "status", "start_date", "end_date", "budget", "version",
    "created_at", "updated_at",
)  # fmt: skip
PRODUCT_COLUMNS = ("id", "code", "name", "price", "active", "version", "created_at", "updated_at")
_KINDS = ("task", "call", "call", "meeting", "note")
_SUBJECTS = ("跟进报价", "电话回访", "拜访客户", "产品演示", "合同评审", "催款", "节日问候")
_ENGLISH_SUBJECTS = ("Follow up on quote", "Call back", "Visit", "Demo", "Contract review")
_TROUBLES = ("无法登录", "发票有误", "设备故障", "交货延迟", "账单疑问", "需要培训", "数据导出失败")
_PRIORITIES = ("low", "normal", "normal", "normal", "high")


def activities(block: Block, contacts: list[Contact], deals: list[Deal]) -> list[str]:
    """Lines for COPY in the order of ACTIVITY_COLUMNS; contacts and deals are untouched ones."""
    draw, stamp, now = block.rng.random, block.world.clock.stamp, block.world.clock.now
    dealt, _ = block.assign("activities")
    lines: list[str] = []
    for position, rate in zip(block.rows("activities"), dealt, strict=True):
        if deals and draw() < 0.3:
            deal = deals[int(draw() * len(deals))]
            link = [deal.owner_id, deal.account_id, deal.contact_id, str(deal.id)]
            subject = _SUBJECTS[int(draw() * len(_SUBJECTS))]
        else:
            contact = contacts[int(draw() * len(contacts))]
            link = [contact.owner_id, contact.account_id, str(contact.id), NULL]
            words = _SUBJECTS if draw() < 0.85 else _ENGLISH_SUBJECTS
            subject = words[int(draw() * len(words))]
        if rate is not None:
            link[1] = nowhere(position + 1)
            block.mark("activities", position + 1, rate.kind, rate.field)
        created, updated = block.times("activities", position)
        due = created + int(draw() * 14 * DAY)
        done = stamp(max(created, updated)) if due < now and draw() < 0.8 else NULL
        kind = _KINDS[int(draw() * len(_KINDS))]
        times = (stamp(due), done, "1", stamp(created), stamp(updated))
        lines.append("\t".join((str(position + 1), link[0], kind, subject, *link[1:], *times)))
    return lines


def cases(block: Block, contacts: list[Contact]) -> list[str]:
    """Lines for COPY in the order of CASE_COLUMNS; contacts are untouched ones."""
    draw, stamp = block.rng.random, block.world.clock.stamp
    dealt, _ = block.assign("cases")
    lines: list[str] = []
    for position, rate in zip(block.rows("cases"), dealt, strict=True):
        contact = contacts[int(draw() * len(contacts))]
        account = contact.account_id
        if rate is not None:
            account = nowhere(position + 1)
            block.mark("cases", position + 1, rates.ORPHANED, rate.field)
        created, updated = block.times("cases", position)
        chance = draw()
        status = "closed" if chance < 0.7 else "pending" if chance < 0.8 else "open"
        lines.append("\t".join((
            str(position + 1), contact.owner_id, f"C-{position + 1:08d}",
            _TROUBLES[int(draw() * len(_TROUBLES))], account, str(contact.id), status,
            _PRIORITIES[int(draw() * len(_PRIORITIES))],
            stamp(updated) if status == "closed" else NULL, "1", stamp(created), stamp(updated),
        )))  # fmt: skip
    return lines


def campaigns(world: World) -> list[str]:
    """Lines for COPY in the order of CAMPAIGN_COLUMNS."""
    rng, clock, lines = random.Random(f"refcrm {world.seed} campaigns"), world.clock, []
    total = world.counts["campaigns"]
    for number in range(1, total + 1):
        created = clock.created(number / total)
        begin = created + 7 * DAY
        end = begin + int((10 + rng.random() * 80) * DAY)
        status = "done" if end < clock.now else "active" if begin < clock.now else "planned"
        name = f"{clock.day(begin)[:7]} {INDUSTRIES[number % len(INDUSTRIES)][0]}推广 {number}"
        owner = world.owners[int(rng.random() * len(world.owners))].id
        times = (clock.stamp(created), clock.stamp(created))
        lines.append("\t".join((
            str(number), str(owner), name, status, clock.day(begin), clock.day(end),
            f"{int(rng.random() * 90 + 10) * 1000}.00", "1", *times,
        )))  # fmt: skip
    return lines


def products(world: World) -> list[str]:
    """Lines for COPY in the order of PRODUCT_COLUMNS."""
    rng, since = random.Random(f"refcrm {world.seed} products"), world.clock.stamp(0)
    return [
        "\t".join((
            str(number), f"P-{number:04d}",
            f"{INDUSTRIES[number % len(INDUSTRIES)][0]}标准产品{number:02d}",
            f"{int(rng.random() * 9000 + 100)}.00", "f" if number % 10 == 0 else "t", "1",
            since, since,
        ))
        for number in range(1, world.counts["products"] + 1)
    ]  # fmt: skip
